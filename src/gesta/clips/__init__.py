"""From samples to arrays: decoding, sampling, crops, the transform and its cache. NumPy and OpenCV; no torch."""
