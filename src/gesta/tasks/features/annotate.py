"""Annotate a video with the newest prediction of a classifier of stored features."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta.clips.annotated import VideoWriter, picture_of
from gesta.clips.read import iter_sample
from gesta.schema import Prediction, Sample
from gesta.tasks.features.predict import SequenceRecognizer


def annotate(recognizer: SequenceRecognizer, sample: Sample, out: Path) -> Iterator[Prediction]:
    """Write the annotated video to `out` (.mp4) and yield the predictions.

    A model that sees exactly n frames of a video yields a single prediction. Raises GestaError if the sample cannot be
    read or the file cannot be written.
    """
    whole = recognizer.manifest.backbone.every is None
    yield from (_annotate_whole if whole else _annotate_stream)(recognizer, sample, out)


def _annotate_stream(recognizer: SequenceRecognizer, sample: Sample, out: Path) -> Iterator[Prediction]:
    """Draw the newest prediction on every frame; frames before the first prediction show the first one."""
    waiting: list[tuple[float, NDArray[np.uint8]]] = []
    shown: Prediction | None = None
    stream = recognizer.open_stream()
    with VideoWriter(out) as writer:
        for frame in iter_sample(sample, color=True):
            waiting.append((frame.time_s, picture_of(frame, sample)))
            for shown in stream.push(frame):
                yield shown
            while waiting and shown is not None:
                writer.write(*waiting.pop(0), shown)
        for found in stream.finish():
            while waiting:
                writer.write(*waiting.pop(0), found)
            yield found


def _annotate_whole(recognizer: SequenceRecognizer, sample: Sample, out: Path) -> Iterator[Prediction]:
    """Draw the single prediction of a model that sees exactly n frames of a video on every frame."""
    found = recognizer.predict(sample)
    with VideoWriter(out) as writer:
        for frame in iter_sample(sample, color=True):
            writer.write(frame.time_s, picture_of(frame, sample), found)
    yield found
