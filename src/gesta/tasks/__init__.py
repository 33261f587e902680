"""One package per kind of model (a task), each implementing the interface in base.py."""
