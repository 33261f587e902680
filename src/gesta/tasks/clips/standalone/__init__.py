"""Preprocessing within the network's file: RGB frames in, probabilities out, without gesta."""
