"""Writes a video with the recognizer's predictions, chunk by chunk, drawn over it (and the skeleton, if used)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta.clips.annotated import VideoWriter, picture_of
from gesta.clips.preprocess import looked_at, raw_frames
from gesta.clips.read import iter_sample
from gesta.schema import GestaError, Prediction, Sample
from gesta.tasks.clips.inputs import require
from gesta.tasks.clips.predict import Recognizer


def annotate(recognizer: Recognizer, sample: Sample, out: Path) -> Iterator[Prediction]:
    """Streams a sample through the model and writes `out` (.mp4); yields one prediction per chunk as it goes.

    Every frame carries the prediction of its own chunk. The file appears when the last frame is written. Raises
    GestaError if the sample cannot be read or lacks what the model needs, or the file cannot be written.
    """
    require(sample, recognizer.manifest)
    if not recognizer.manifest.transform.decoded or "pixels" in recognizer.manifest.transform.withheld(
        sample.modalities
    ):
        raise GestaError(
            f"{sample.files[0]}: --annotate draws on the video, but the model uses only the skeleton here."
        )
    whole, sample = sample, looked_at(sample, recognizer.manifest.transform)
    stream, half_tick = recognizer.open_stream(sample.joints), 0.5 / recognizer.manifest.transform.fps
    waiting: list[tuple[float, NDArray[np.uint8]]] = []
    with VideoWriter(out) as writer:
        raw = raw_frames(whole, recognizer.manifest.transform)
        for frame, seen in zip(iter_sample(sample, color=True), raw, strict=True):
            waiting.append((frame.time_s, picture_of(frame, sample)))
            for found in stream.push(seen):
                while waiting and found.time_s is not None and waiting[0][0] < found.time_s - half_tick:
                    writer.write(*waiting.pop(0), found)
                yield found
        for found in stream.finish():
            while waiting:
                writer.write(*waiting.pop(0), found)
            yield found
