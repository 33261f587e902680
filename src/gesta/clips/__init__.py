"""From samples to arrays: decode, sampling, crops, the transform and its cache. Numpy and OpenCV; no torch."""
