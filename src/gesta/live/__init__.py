"""Models at work on what a camera sees now."""
