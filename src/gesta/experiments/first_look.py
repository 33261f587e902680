"""A first result within seconds: the packaged model on a newly generated person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta import draw
from gesta.clips.annotated import picture_of
from gesta.clips.read import iter_sample
from gesta.engines.base import Placement
from gesta.files import write_files
from gesta.schema import Prediction, Sample
from gesta.sources.inputs import whole_recordings
from gesta.synthetic import chalearn2014
from gesta.tasks import catalog
from gesta.tasks.clips.annotate import annotate
from gesta.words import in_english

GESTURES = 6
SEED = 2
"""Seed of the person: the packaged model was trained on people of seed 0, and the demo measures on seed 1."""

PICTURE, VIDEO = "first_look.jpg", "first_look.mp4"
_FRAMES, _HEIGHT, _CAPTION = 7, 132, 24


def first_look(out: Path) -> dict[str, Any]:
    """Generates a recording of six gestures and writes a picture and a video of the model's predictions to `out`.

    Returns picture, video, gestures, and recognized (the number of correct predictions). Raises GestaError.
    """
    chalearn2014.make(out / "data", people=1, gestures_per_recording=GESTURES, seed=SEED, workers=1)
    task, bundle = catalog.of_bundle("demo")
    model: Any = task.load(bundle, Placement())
    samples = task.read(out / "data", "chalearn2014").samples
    spans = [s for s in samples if s.label is not None]
    found = [model.predict(s) for s in spans]
    write_files(out, {PICTURE: draw.jpeg(picture(spans, found))})
    list(annotate(model, whole_recordings(samples)[0], out / VIDEO))
    return {
        "picture": str(out / PICTURE),
        "video": str(out / VIDEO),
        "gestures": len(spans),
        "recognized": sum(p.label == s.label for s, p in zip(spans, found, strict=True)),
    }


def picture(spans: Sequence[Sample], found: Sequence[Prediction]) -> NDArray[np.uint8]:
    """Returns H W 3: a film strip per gesture, captioned with the true and predicted gesture and the confidence."""
    rows = [_row(span, said) for span, said in zip(spans, found, strict=True)]
    width = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 8), (0, width - row.shape[1]), (0, 0))) for row in rows])


def _row(span: Sample, said: Prediction) -> NDArray[np.uint8]:
    performed, answer = (in_english(str(label), said.probabilities) for label in (span.label, said.label))
    verdict = "right" if said.label == span.label else "wrong"
    strip = draw.film_strip([picture_of(frame, span) for frame in iter_sample(span, color=True)], _FRAMES, _HEIGHT)
    dark = np.zeros((12 * _CAPTION, strip.shape[1], 3), np.uint8)  # a label takes a twelfth of the height
    caption = draw.draw_label(dark, f"performed: {performed}   model: {answer}, {verdict}", said.confidence)
    return np.concatenate([strip, caption[-_CAPTION:]])
