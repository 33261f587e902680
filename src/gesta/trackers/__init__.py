"""Hand and body tracking in plain RGB frames with the published networks on OpenVINO; no torch, no mediapipe."""

from gesta.trackers.joints import BLAZEPOSE_JOINTS, HAND_JOINTS, TWO_HANDS_JOINTS, joint_names
from gesta.trackers.landmarks import Hand, Landmarks, Person
from gesta.trackers.tracker import Tracker

__all__ = [
    "BLAZEPOSE_JOINTS",
    "HAND_JOINTS",
    "TWO_HANDS_JOINTS",
    "Hand",
    "Landmarks",
    "Person",
    "Tracker",
    "joint_names",
]
