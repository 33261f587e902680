"""The hand transform built into the network's file: depth image in, joints out, without gesta."""
