"""The transform: the preprocessing that travels with a model (spec 1 "Input"; Mullick 2018, section 3.4.2).

Only the specification: `preprocess.py` applies it; cache, training, calibration and runtime all use its output.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gesta.clips.skeleton_space import SkeletonSpace
from gesta.clips.tracker_spec import TrackerSpec
from gesta.schema import is_none, is_zero

Stream = Literal["body", "hand", "skeleton"]
Channel = Literal["gray", "depth", "gray_difference", "depth_difference", "red", "green", "blue", "flow_x", "flow_y"]
COLORS = ("red", "green", "blue")
FLOW: tuple[Channel, ...] = ("flow_x", "flow_y")

TRANSFORM_VERSION = 2
"""Incremented whenever the same specification would give different pixels, to tell old caches and bundles apart.

2: crops are halved channel by channel and a mean of .5 is rounded up; 1 rounded it to even with two channels.
"""


class Transform(BaseModel):
    """Turns decoded frames into uint8 arrays T S H W C at `fps`, with one crop per stream and one plane per channel.

    The stream "skeleton" gives float32 arrays T J D instead, normalized as specified by `skeleton`, NaN where a joint
    is missing, and has no channels. Together with other streams (`fused`) it gives T records of both; if a recording
    has only one of the two, the other is empty. With `tracker`, skeletons are detected in the color frames.
    Missing modalities are stated here and never guessed at run time: `body="motion"` without a skeleton,
    `*_difference` channels in place of a modality. Differences are 128 + difference_gain * (now - before).
    Flow is computed on gray between two frames of the crop, in the levels of gesta.clips.flow: the last two kept
    frames or, with `flow_stack`, consecutive frames of the recording (Simonyan and Zisserman 2014, section 3.1).
    Depth is 255 at depth_range_mm in front of the person's median depth, 1 as far behind it, 0 without a reading.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(TRANSFORM_VERSION, ge=1, strict=True)
    fps: float = Field(gt=0, le=240, description="frames are taken at this rate by time stamps")
    size: int = Field(64, ge=16, le=512, description="height and width of every crop, pixels")
    streams: tuple[Stream, ...] = ("body", "hand")
    channels: tuple[Channel, ...] = ("gray", "depth")
    body: Literal["skeleton", "motion", "frame"] = "skeleton"
    body_width: float = Field(1.0, gt=0, description="half width of the body crop, in hip-to-head heights h (eq. 3.1)")
    body_up: float = Field(1.4, gt=0, description="from HipCenter upwards, in h")
    body_down: float = Field(0.7, gt=0, description="from HipCenter downwards, in h")
    hand_side: float = Field(0.5, gt=0, description="side of the hand crop, in h")
    hand_rule: Literal["clip", "so_far"] = Field("clip", description="highest hand of the whole clip, or so far")
    mirror: bool = Field(True, description="mirror if the right hand is the chosen one")
    mask: bool = Field(True, description="multiply by the user mask if there is one")
    smooth: bool = Field(True, description="Gaussian 3 x 3")
    box_smoothing: float = Field(
        0.0, ge=0, lt=1, description="weight of the past, per frame (skeleton) or chunk (motion)"
    )
    depth_range_mm: float = Field(800.0, gt=0)
    difference_gain: float = Field(4.0, gt=0)
    flow_stack: int = Field(
        0,
        ge=0,
        le=20,
        exclude_if=is_zero,
        description="number of flows between consecutive frames up to the kept one, latest first; "
        "0: one flow, from the previous kept frame",
    )
    sampling: Literal["chunks", "central", "whole"] = Field(
        "chunks", description="chunks of `chunk` frames, the central window, or the whole clip at once"
    )
    chunk: int = Field(4, ge=1, le=64, description="frames per chunk")
    window: int = Field(
        32, ge=1, le=512, description="frames of the central window; whole: the latest frames of a stream"
    )
    skeleton: SkeletonSpace | None = Field(
        None, exclude_if=is_none, description="joints of the skeleton stream, and how they are normalized"
    )
    tracker: TrackerSpec | None = Field(
        None, exclude_if=is_none, description="tracker that finds the skeletons for streams and crops"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Transform:
        if not self.streams or len(set(self.streams)) != len(self.streams):
            raise ValueError("streams: one or more of body, hand, skeleton, each once")
        if ("skeleton" in self.streams) != (self.skeleton is not None):
            raise ValueError("skeleton: set this key if, and only if, the streams include skeleton")
        if bool(self.channels) != bool(self.pictures) or len(set(self.channels)) != len(self.channels):
            raise ValueError("channels: one or more for body and hand, each once; none for skeleton alone")
        if self.fused and self.sampling == "central":
            raise ValueError("pixels and skeletons together need sampling chunks or whole, not central")
        if self.flow_stack and self.channels[-2:] != FLOW:
            raise ValueError("flow_stack: the channels must end with flow_x, flow_y")
        if "hand" in self.streams and self.body != "skeleton":
            raise ValueError("the hand stream needs a skeleton: body must be 'skeleton'")
        if self.version > TRANSFORM_VERSION:
            raise ValueError(
                f"transform version {self.version} is newer than this gesta supports ({TRANSFORM_VERSION})"
            )
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """Modalities that this transform uses, out of color, depth and skeleton: see `lacking`."""
        wanted = set(self._seen_by_pictures)
        if self.tracker is not None:
            wanted.add("color")
        elif self.body == "skeleton" or self.skeleton is not None:
            wanted.add("skeleton")
        return tuple(m for m in ("color", "depth", "skeleton") if m in wanted)

    @property
    def planes(self) -> tuple[Channel, ...]:
        """Content of each of the C planes of a preprocessed frame: the channels, with stacked flow expanded."""
        return (*self.channels[:-2], *FLOW * self.flow_stack) if self.flow_stack else self.channels

    @property
    def _seen_by_pictures(self) -> set[str]:
        return {"depth" if c.startswith("depth") else "color" for c in self.channels}

    def lacking(self, modalities: Collection[str]) -> tuple[str, ...]:
        """Missing modalities that make a recording unusable; for fused input, pixels or a skeleton are enough."""
        lost = tuple(m for m in self.needs if m not in modalities)
        whole = self.fused and self.tracker is None and len(self.withheld(modalities)) < 2
        return () if whole else lost

    def withheld(self, modalities: Collection[str]) -> tuple[str, ...]:
        """Which of "pixels" and "skeleton" a recording with these modalities lacks, if the input is fused."""
        if not self.fused:
            return ()
        pixels = self._seen_by_pictures <= set(modalities)
        skeleton = "skeleton" in modalities or (self.tracker is not None and "color" in modalities)
        return ("pixels",) * (not pixels) + ("skeleton",) * (not skeleton)

    @property
    def pictures(self) -> tuple[Stream, ...]:
        """The pixel streams."""
        return tuple(stream for stream in self.streams if stream != "skeleton")

    @property
    def fused(self) -> bool:
        """Whether the input combines pixels and skeletons."""
        return self.skeleton is not None and bool(self.pictures)

    @property
    def decoded(self) -> bool:
        """Whether videos are decoded; for skeletons alone they are not, unless a tracker finds them."""
        return bool(self.pictures) or self.tracker is not None

    @property
    def colored(self) -> bool:
        """Whether frames are decoded in color instead of gray only."""
        return self.tracker is not None or any(c in COLORS for c in self.channels)

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """(S, H, W, C) of one preprocessed frame's pixels; (J, D) for the skeleton stream alone."""
        if self.skeleton is not None and not self.pictures:
            return len(self.skeleton.joints), self.skeleton.dimensions
        return len(self.pictures), self.size, self.size, len(self.planes)

    def empty(self, frames: int) -> NDArray[Any]:
        """Empty preprocessed frames: black pixels, and skeletons whose joints are all missing."""
        if self.skeleton is None:
            return np.zeros((frames, *self.frame_shape), np.uint8)
        joints = (len(self.skeleton.joints), self.skeleton.dimensions)
        if not self.fused:
            return np.full((frames, *joints), np.nan, np.float32)
        records = np.zeros(frames, [("pixels", np.uint8, self.frame_shape), ("skeleton", np.float32, joints)])
        records["skeleton"] = np.nan
        return records

    def network_inputs(self, frames: int, name: str = "clip") -> dict[str, tuple[str, tuple[int, ...]]]:
        """Element type and shape of each network input for `frames` frames, -1 for any number: see `sampling.feed`."""
        found: dict[str, tuple[str, tuple[int, ...]]] = {}
        if self.pictures:
            streams, height, width, channels = self.frame_shape
            found[name] = ("uint8", (-1, streams, channels, frames, height, width))
        if self.skeleton is not None:
            joints, dimensions = len(self.skeleton.joints), self.skeleton.dimensions
            found["skeleton" if found else name] = ("float32", (-1, frames, joints, dimensions + 1))
        return found | ({"present": ("float32", (-1, frames, 2))} if self.fused else {})

    def key(self) -> str:
        """Short hash of everything that determines the pixels."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]
