"""Gesture spotting: what is done, and from when to when, in long recordings."""
