"""Runs a model on the page's camera: newest frames first, with the last seconds kept in memory."""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gesta.bundle.io import Bundle
from gesta.decoder import GestureEvent
from gesta.engines.base import Placement
from gesta.live.tracked import tracked
from gesta.tasks import catalog
from gesta.tasks.base import need
from gesta.untrusted import image_size
from gesta.web.messages import Limits
from gesta.web.messages_work import Answer, LiveEvent, Thresholds
from gesta.web.models import spec_of
from gesta.web.parts import Frame, check_jpeg, write_video
from gesta.web.refuse import Refuse

HEAD = struct.Struct("<IQ")
UNANSWERED = 2
KEPT_S, KEPT_BYTES = 5.0, 48 * 2**20
LEAST_KEPT = 4


@dataclass(frozen=True)
class Shot:
    """A frame as sent by the page."""

    seq: int
    captured_us: int
    jpeg: bytes
    arrived: float


def read_shot(data: bytes, limits: Limits) -> Shot:
    """Parses a frame. Raises Refuse 413 if it is too large, 422 if it is invalid."""
    if len(data) > limits.live_bytes:
        raise Refuse(413, "The frame is too large.", f"at most {limits.live_bytes // 1024} KB")
    if len(data) <= HEAD.size:
        raise Refuse(422, "The frame is cut short.", "seq, captured, JPEG")
    seq, captured_us = HEAD.unpack_from(data)
    jpeg = data[HEAD.size :]
    check_jpeg(jpeg, limits.side_pixels)
    if captured_us > 2**62:
        raise Refuse(422, "The frame's time is not valid.", field="captured")
    return Shot(seq, captured_us, jpeg, time.perf_counter())


class Waiting:
    """Queue of unanswered frames: at most the two newest."""

    def __init__(self) -> None:
        self._shots: deque[Shot] = deque(maxlen=UNANSWERED)
        self.dropped = 0

    def put(self, shot: Shot) -> None:
        self.dropped += len(self._shots) == UNANSWERED
        self._shots.append(shot)

    def take(self) -> Shot | None:
        return self._shots.popleft() if self._shots else None


@dataclass
class Load:
    """Number of cores the process used since the last query at least a second ago."""

    _asked: float = field(default_factory=time.monotonic)
    _used: float = field(default_factory=time.process_time)
    cores: float = 0.0

    def now(self) -> float:
        at, used = time.monotonic(), time.process_time()
        if at - self._asked >= 1.0:
            self.cores = round((used - self._used) / (at - self._asked), 2)
            self._asked, self._used = at, used
        return self.cores


class Following:
    """One page's camera and one model, with a tracker if it takes skeletons. Used by one thread at a time.

    Raises GestaError for a model without streaming, and if the tracker's networks have not been fetched.
    """

    def __init__(self, bundle: Bundle[Any]) -> None:
        task = catalog.find(bundle.manifest.kind)
        predictor: Any = task.load(bundle, Placement())
        self._follower = need(task, "follow", "Trying it live")(predictor)
        if self._follower.takes != "rgb":
            self._follower = tracked(self._follower, bundle.manifest.space)
        self._manifest, self._last_us, self._load = bundle.manifest, -1, Load()
        self._kept: deque[Shot] = deque()
        self._kept_bytes = 0

    def set(self, wanted: Thresholds) -> None:
        """Sets the decoder's parameters, for this page only."""
        self._follower.decode_with(spec_of(self._manifest).model_copy(update=wanted.model_dump()))

    def step(self, shot: Shot) -> Answer:
        """The model's answer to a frame; repeats the last answer if the frame is not later than the previous one."""
        self._keep(shot)
        events: list[GestureEvent] = []
        if shot.captured_us > self._last_us:
            image = cv2.imdecode(np.frombuffer(shot.jpeg, np.uint8), cv2.IMREAD_COLOR)
            if image is not None:
                self._last_us = shot.captured_us
                events = self._follower.push(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), shot.captured_us / 1e6)
        probabilities = {label: round(float(value), 4) for label, value in self._follower.probabilities.items()}
        took_ms = 1000 * (time.perf_counter() - shot.arrived)
        said = [LiveEvent(**{name: getattr(event, name) for name in LiveEvent.model_fields}) for event in events]
        joints = getattr(self._follower, "joints", None)
        return Answer(
            seq=shot.seq,
            server_ms=round(took_ms, 2),
            probabilities=probabilities,
            events=said,
            cores=self._load.now(),
            joints=None if joints is None else np.round(joints, 4).tolist(),
        )

    def wrong(self) -> tuple[Callable[[Path], None], dict[str, Any]]:
        """(function that writes the last seconds as a video, its metadata). Raises Refuse 422 if there is too little.

        Frames whose size differs from the last one's are left out.
        """
        size = image_size(self._kept[-1].jpeg) if self._kept else None
        frames: list[Frame] = []
        for shot in self._kept:
            later = not frames or shot.captured_us > frames[-1].captured_us
            if later and image_size(shot.jpeg) == size:
                frames.append(Frame(shot.captured_us, shot.jpeg))
        if size is None or len(frames) < LEAST_KEPT:
            raise Refuse(422, "There is nothing to keep yet.", hint="Let the camera run for a moment.")
        seconds = (frames[-1].captured_us - frames[0].captured_us) / 1e6
        step_s = seconds / (len(frames) - 1)
        facts = {
            "frames": len(frames),
            "fps": 1 / step_s,
            "file_s": round(seconds + step_s, 3),
            "width": size[0],
            "height": size[1],
        }
        return lambda path: write_video(path, frames, size), facts

    def _keep(self, shot: Shot) -> None:
        self._kept.append(shot)
        self._kept_bytes += len(shot.jpeg)
        while self._kept and (
            shot.captured_us - self._kept[0].captured_us > KEPT_S * 1e6 or self._kept_bytes > KEPT_BYTES
        ):
            self._kept_bytes -= len(self._kept.popleft().jpeg)
