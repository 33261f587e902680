"""A bundle at work: the recogniser, streaming with carried state, the engines (each imported only when used)."""
