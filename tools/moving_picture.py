"""Makes docs/events.webp: python tools/moving_picture.py BUNDLE DATA docs/events.webp [--from-s 0]

Live recognition on a recording of the test part: frames with the skeleton; below them the ground truth and the detected
events, each shown from the time of its detection, green if correct and red if wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import gesta
from gesta import draw
from gesta.clips.decode import probe
from gesta.clips.read import iter_recording
from gesta.decoder import GestureEvent
from gesta.schema import Sample
from gesta.sources.catalog import read

WIDTH, STRIP, LEFT, FPS = 400, 66, 82, 8
TRUTH, RIGHT, WRONG, INK = (150, 150, 150), (60, 150, 70), (200, 70, 60), (40, 40, 40)


@dataclass(frozen=True)
class Shown:
    """A recording, its labels as (label, start_s, end_s), the model's events, and the part to show."""

    recording: Sample
    truth: list[tuple[str, float, float]]
    events: list[GestureEvent]
    start_s: float
    seconds: float

    def timeline(self, now: float) -> NDArray[np.uint8]:
        """[STRIP, WIDTH, 3]: the labels above the events that are detected by now."""
        strip = np.full((STRIP, WIDTH, 3), 250, np.uint8)
        for row, name in ((8, "ground truth"), (38, "detected")):
            _write(strip, name, (6, row + 13), INK)
        for label, start, end in self.truth:
            if start < now:
                self._bar(strip, 8, (start, min(end, now)), label, TRUTH)
        for event in (one for one in self.events if one.decided_s <= now):
            same = any(t[0] == event.label and t[1] < event.end_s and event.start_s < t[2] for t in self.truth)
            self._bar(strip, 38, (event.start_s, event.end_s), event.label, RIGHT if same else WRONG)
        cv2.line(strip, (self._x(now), 2), (self._x(now), STRIP - 3), INK, 1)
        return strip

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """The images, FPS per second of the recording."""
        fps = probe(self.recording.files[0]).fps
        wanted = {round((self.start_s + i / FPS) * fps) for i in range(round(self.seconds * FPS))}
        for index, frame in iter_recording(self.recording, lambda index, _: index in wanted, color=True):
            image = draw.draw_skeleton(frame.color, frame.joints_uv, self.recording.joints)
            size = (WIDTH, round(WIDTH * image.shape[0] / image.shape[1]))
            picture = cv2.resize(
                image, size, interpolation=cv2.INTER_AREA if image.shape[1] > WIDTH else cv2.INTER_CUBIC
            )
            yield np.concatenate([picture, self.timeline(index / fps)])

    def _x(self, time_s: float) -> int:
        share = min(max((time_s - self.start_s) / self.seconds, 0), 1)
        return round(LEFT + (WIDTH - LEFT - 6) * share)

    def _bar(
        self, strip: NDArray[np.uint8], row: int, span: tuple[float, float], text: str, color: tuple[int, ...]
    ) -> None:
        left, right = map(self._x, span)
        if right > left:
            cv2.rectangle(strip, (left, row), (right, row + 19), color, -1)
            _write(strip, text[: (right - left) // 5], (left + 2, row + 13), (255, 255, 255))


def _write(image: NDArray[np.uint8], text: str, at: tuple[int, int], color: tuple[int, ...]) -> None:
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.35, color, 1, cv2.LINE_AA)


def shown(bundle: Path, data: Path, name: str | None, start_s: float, seconds: float) -> Shown:
    """The recording with its labels and the events of the model."""
    test = [sample for sample in read(data).samples if sample.split == "test" and sample.label is not None]
    spans = [sample for sample in test if sample.recording == (name or test[0].recording)]
    fps = probe(spans[0].files[0]).fps
    whole = replace(spans[0], label=None, first_frame=None, last_frame=None)
    truth = [(s.label or "", (s.first_frame or 0) / fps, ((s.last_frame or 0) + 1) / fps) for s in spans]
    return Shown(whole, truth, list(gesta.load(bundle).events(whole)), start_s, seconds)


def main() -> None:
    """Runs the command described above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recording")
    parser.add_argument("--from-s", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=16.0)
    given = parser.parse_args()
    pictures = [
        Image.fromarray(p)
        for p in shown(given.bundle, given.data, given.recording, given.from_s, given.seconds).frames()
    ]
    pictures[0].save(
        given.out, save_all=True, append_images=pictures[1:], duration=1000 // FPS, loop=0, quality=60, method=4
    )
    print(f"{given.out}: {len(pictures)} images, {given.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
