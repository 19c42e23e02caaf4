"""Rival explanations of why batch norm helps: each prediction as a claim, judged by the rules of all others."""
