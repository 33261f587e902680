"""One package for each kind of model: everything that it has of its own, behind the contract in base.py."""
