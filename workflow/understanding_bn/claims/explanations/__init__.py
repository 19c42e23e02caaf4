"""Predictions of explanations that compete with the paper's, one module for each theme."""
