"""What runs a network: one module for each engine, and what converts a PyTorch network for it."""
