"""Makes docs/picture.jpg from a finished demo: python tools/picture.py gesta_demo docs/picture.jpg

Four gestures of the recording that the demo follows: the frame in the middle of each with its skeleton and the stream's
prediction at the gesture's end; below, the prepared pixels: body and hand, gray and depth.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

import gesta
from gesta import draw
from gesta.clips.decode import probe
from gesta.clips.preprocess import preprocess
from gesta.clips.read import iter_recording
from gesta.schema import Sample
from gesta.sources.catalog import read

SHOWN = (1, 5, 9, 14)
WIDTH = 300


def column(span: Sample, label: str, confidence: float, recognizer: gesta.Recognizer) -> np.ndarray:
    """H W 3: the middle frame with skeleton and prediction above the prepared crops."""
    middle = ((span.first_frame or 0) + (span.last_frame or 0)) // 2
    _, frame = next(iter_recording(span, lambda index, _: index == middle, color=True))
    image = frame.color if frame.joints_uv is None else draw.draw_skeleton(frame.color, frame.joints_uv, span.joints)
    scaled = cv2.resize(image, (WIDTH, round(WIDTH * image.shape[0] / image.shape[1])), interpolation=cv2.INTER_CUBIC)
    top = draw.draw_label(scaled, label, confidence)
    pixels = preprocess(span, recognizer.manifest.transform).pixels
    planes = [pixels[len(pixels) // 2, s, :, :, c] for s in range(pixels.shape[1]) for c in range(pixels.shape[4])]
    crops = np.concatenate(planes, axis=1)
    crops = cv2.resize(crops, (WIDTH, WIDTH // len(planes)), interpolation=cv2.INTER_AREA)
    return np.concatenate([top, np.repeat(crops[..., None], 3, axis=2)])


def main(demo: Path, out: Path) -> None:
    test = [s for s in read(demo / "data").samples if s.split == "test" and s.label is not None]
    spans = [s for s in test if s.recording == test[0].recording]
    recognizer = gesta.load(demo / "model" / "bundle")
    fps = probe(spans[0].files[0]).fps
    stream = list(recognizer.stream(replace(spans[0], label=None, first_frame=None, last_frame=None)))
    columns = []
    for span in (spans[i] for i in SHOWN):
        end = ((span.last_frame or 0) + 1) / fps
        said = max((p for p in stream if (p.time_s or 0) <= end), key=lambda p: p.time_s or 0)
        print(span.label, said.label)
        columns += [column(span, said.label, said.confidence, recognizer), np.full((1, 4, 3), 255, np.uint8)]
    height = columns[0].shape[0]
    row = [c if c.shape[0] == height else np.repeat(c, height, axis=0) for c in columns[:-1]]
    out.write_bytes(draw.jpeg(np.concatenate(row, axis=1), 88))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
