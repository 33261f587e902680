"""Gesture and action recognition in clips of RGB, depth and skeleton."""
