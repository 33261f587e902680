"""Drills: commands are killed or disturbed at random moments, resumed, and compared with undisturbed runs."""
