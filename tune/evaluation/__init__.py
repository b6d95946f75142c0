"""Evaluate trained models: scores, predictions and figures. The only room that reads the test split."""
