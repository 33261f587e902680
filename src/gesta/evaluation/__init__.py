"""A bundle measured: over a split of labeled data, as a report, and for speed."""
