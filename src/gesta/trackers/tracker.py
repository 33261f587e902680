"""The tracker: hands, body or both in plain RGB frames, one step per frame.

tracker = Tracker("both")
for time_s, rgb in frames:
    found = tracker.step(rgb, time_s)          # Landmarks
    points_px, confidence = found.joints("both")  # [75, 3], [75]
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError
from gesta.trackers import hands, pose
from gesta.trackers.detector import Detector
from gesta.trackers.files import default_folder, fingerprint, located
from gesta.trackers.joints import SOUGHT, What, joint_names
from gesta.trackers.landmarks import Landmarks
from gesta.trackers.networks import Network

Model = Literal["lite", "full"]
VERSION = 1  # of the logic between the networks: part of the identity

PALM_STRIDES = (8, 16, 16, 16)
POSE_STRIDES = (8, 16, 32, 32, 32)
_PALM = [(1, 2016, 18), (1, 2016, 1)]
_HAND = [(1, 63), (1, 1), (1, 1), (1, 63)]
_PERSON = [(1, 2254, 12), (1, 2254, 1)]
_POSE = [(1, 195), (1, 1), (1, 256, 256, 1), (1, 64, 64, 39), (1, 117)]


class Tracker:
    """Detects and tracks hands (`what="hands"`), one person (`"pose"`), or both.

    `hand_model`: "full", or "lite" (faster, less accurate). `static`: process every frame independently. `mask`: also
    compute the person's mask. `folder`: location of the networks (`gesta fetch trackers`). `threads`: OpenVINO threads;
    None lets it choose. Raises GestaError if a network is missing or is not the published file.
    """

    def __init__(
        self,
        what: What = "hands",
        *,
        hand_model: Model = "full",
        max_hands: int = 2,
        static: bool = False,
        smooth: bool = True,
        mask: bool = False,
        folder: Path | None = None,
        threads: int | None = None,
    ) -> None:
        self.sha256 = identity(
            what, hand_model=hand_model, max_hands=max_hands, static=static, smooth=smooth, mask=mask, folder=folder
        )
        self.what, self.joints = what, joint_names(what)
        files = located(needed(what, hand_model), folder or default_folder())
        self._hands: hands.HandTracker | None = None
        self._pose: pose.PoseTracker | None = None
        self.networks: tuple[Network, ...] = ()
        if SOUGHT[what].hands:
            palm = Network(files[f"palm_detection_{hand_model}"], 192, _PALM, threads=threads)
            hand = Network(files[f"hand_landmark_{hand_model}"], 224, _HAND, keep=(0, 1, 2), threads=threads)
            self._hands = hands.HandTracker(
                Detector(palm, PALM_STRIDES), hand, max_hands=max_hands, static=static, smooth=smooth
            )
            self.networks += (palm, hand)
        if SOUGHT[what].body:
            person = Network(files["pose_detection"], 224, _PERSON, low=-1.0, threads=threads)
            kept = (0, 1, 3, 2) if mask else (0, 1, 3)
            body = Network(files["pose_landmark_full"], 256, _POSE, keep=kept, threads=threads)
            self._pose = pose.PoseTracker(Detector(person, POSE_STRIDES), body, static=static, smooth=smooth, mask=mask)
            self.networks += (person, body)

    def step(self, rgb: NDArray[np.uint8], time_s: float) -> Landmarks:
        """Landmarks in the next frame, [H, W, 3] uint8 RGB, at `time_s` on the frames' own clock.

        Raises ValueError for any other shape or type.
        """
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or min(rgb.shape) < 1:
            raise ValueError(f"expected an RGB frame, uint8 [H, W, 3], got {rgb.dtype} {list(rgb.shape)}")
        rgb = np.ascontiguousarray(rgb)
        found = () if self._hands is None else self._hands.step(rgb, time_s)
        person = None if self._pose is None else self._pose.step(rgb, time_s)
        return Landmarks(time_s, (rgb.shape[0], rgb.shape[1]), found, person)

    def reset(self) -> None:
        """Resets all state before the frames of another recording."""
        for part in (self._hands, self._pose):
            if part is not None:
                part.reset()


def needed(what: What, hand_model: Model = "full") -> tuple[str, ...]:
    """Names of the networks that a tracker needs."""
    of_hands = (f"palm_detection_{hand_model}", f"hand_landmark_{hand_model}")
    of_pose = ("pose_detection", "pose_landmark_full")
    return of_hands * SOUGHT[what].hands + of_pose * SOUGHT[what].body


def identity(
    what: What = "hands",
    *,
    hand_model: Model = "full",
    max_hands: int = 2,
    static: bool = False,
    smooth: bool = True,
    mask: bool = False,
    folder: Path | None = None,
) -> str:
    """`Tracker(...).sha256` without loading a network: hash of the network files and of settings that affect landmarks.

    Raises GestaError as Tracker does.
    """
    _check(what, hand_model, max_hands, mask)
    files = located(needed(what, hand_model), folder or default_folder())
    prints = {name: fingerprint(file) for name, file in files.items()}
    settings = {"what": what, "static": static, "smooth": smooth, "version": VERSION}
    if SOUGHT[what].hands:
        settings["max_hands"] = max_hands
    return hashlib.sha256(json.dumps([prints, settings], sort_keys=True).encode()).hexdigest()


def _check(what: What, hand_model: str, max_hands: int, mask: bool) -> None:
    if what not in get_args(What):
        raise GestaError(f"tracker {what!r} is unknown; choose from {', '.join(get_args(What))}.", usage=True)
    if hand_model not in get_args(Model):
        raise GestaError(f"hand model {hand_model!r} is unknown; choose from {', '.join(get_args(Model))}.", usage=True)
    if max_hands < 1:
        raise GestaError(f"max_hands is {max_hands}, expected at least 1.", usage=True)
    if mask and not SOUGHT[what].body:
        raise GestaError("Masks are of whole people. Use the tracker pose or both.", usage=True)
