"""The transform inside the network's file: RGB frames go in, probabilities come out, and gesta is not needed."""
