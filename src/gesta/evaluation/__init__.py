"""Evaluation of bundles: metrics on a split of labeled data, reports, and speed."""
