"""Rival explanations of batch norm, each with a prediction that is judged by the rules of all claims."""
