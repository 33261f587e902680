"""Training: learners, callbacks, checkpoints and stages, shared by all tasks."""
