"""Does an exported network say what the PyTorch network says? Compared on real prepared clips before it is kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gesta.bundle.manifest import Manifest, Parity
from gesta.runtime.engines.base import Engine
from gesta.runtime.recogniser import Recogniser
from gesta.schema import Clip, GestaError

LARGEST = {"fp32": 1e-4, "fp16": 5e-2, "bf16": 5e-2, "int8": 1.0}
"""Largest difference of a probability that passes, by precision."""


def compare(expected: Engine, found: Engine, manifest: Manifest, clips: Sequence[Clip], role: str) -> Parity:
    """The largest difference of the probabilities and the share of clips with the same top class at their end.

    `role` "whole": one prediction a clip; "step": one a chunk, with the state carried, all of them compared.
    """
    if not clips:
        raise GestaError("Export compares networks on real clips and got none. Give some prepared clips.")
    one, other = (_probabilities(Recogniser(engine, manifest), clips, role) for engine in (expected, found))
    difference = max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))
    same = [bool(a[-1].argmax() == b[-1].argmax()) for a, b in zip(one, other, strict=True)]
    return Parity(clips=len(clips), largest_difference=difference, top_class_agreement=float(np.mean(same)))


def demand(parity: Parity, precision: str, what: str) -> None:
    """Raises GestaError unless every clip's top class agrees and the difference is small for this precision."""
    if parity.top_class_agreement < 1 or not parity.largest_difference <= LARGEST[precision]:
        raise GestaError(
            f"{what}: does not say what the PyTorch network says: top class equal on "
            f"{parity.top_class_agreement:.1%} of {parity.clips} clips, probabilities differ by up to "
            f"{parity.largest_difference:.3g} (at most {LARGEST[precision]:g} passes). Nothing was written; "
            "run the bundle with --engine torch, and report it with the recipe."
        )


def _probabilities(recogniser: Recogniser, clips: Sequence[Clip], role: str) -> list[np.ndarray]:
    """For each clip [1, N] (whole) or [K, N] (step)."""
    if role == "whole":
        return list(recogniser.predict_clips([clip.pixels for clip in clips])[:, None])
    streamed = []
    for clip in clips:
        stream = recogniser.open_stream()
        steps = stream.push_prepared(clip.pixels)
        streamed.append(np.array([list(p.probabilities.values()) for p in steps]))
    return streamed
