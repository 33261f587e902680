"""Live recognition from a camera."""
