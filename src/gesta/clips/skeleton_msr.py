"""MSR Action3D skeletons: text, 20 rows per frame `x y z confidence`, meters. Skeletons only, so there are no samples.

The joint order differs from the Kinect's; it was inferred from the data (see tests): bones of constant length, the head
at the top and the feet at the bottom, and the hand that moves in one-handed actions.
"""

from __future__ import annotations

JOINTS = (
    "ShoulderLeft",
    "ShoulderRight",
    "ShoulderCenter",
    "Spine",
    "HipLeft",
    "HipRight",
    "HipCenter",
    "ElbowLeft",
    "ElbowRight",
    "WristLeft",
    "WristRight",
    "HandLeft",
    "HandRight",
    "KneeLeft",
    "KneeRight",
    "AnkleLeft",
    "AnkleRight",
    "FootLeft",
    "FootRight",
    "Head",
)
"""Joints in the order of the rows of a file."""
