"""Gesture spotting: finding gestures and their start and end in long recordings."""
