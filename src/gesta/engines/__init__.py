"""Inference engines: one module per engine, and the conversion of PyTorch networks for each of them."""
