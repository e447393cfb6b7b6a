"""Hyperparameters searched: `tune`, and our methods inside Optuna's studies."""
