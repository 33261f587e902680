"""What computes: one file an engine, all with the contract in `base.py`."""
