"""Rival explanations of why batch norm helps: one prediction of each, in one module for each theme."""
