"""The hand transform inside the network's file: a depth image goes in, joints come out, and gesta is not needed."""
