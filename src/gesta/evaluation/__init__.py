"""A bundle measured: over a split of labelled data, as a report, and for speed."""
