"""Inspects a data folder: opens all files, counts, and reports problems."""
