"""Compression of trained bundles: distillation, half precision, pruning, sparse storage. Bundle in, bundle out."""
