"""Experiments: training, cross-validation, hyperparameter search, and reproduced tables and figures."""
