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
AGREEMENT = {"fp32": 1.0, "fp16": 1.0, "bf16": 1.0, "int8": 0.99}
"""Share of clips whose top class must agree, by precision."""


def compared(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> Parity:
    """The largest difference of the probabilities and the share of clips with the same top class at their end.

    For each clip [K, N], as `probabilities` gives them.
    """
    difference = float(np.max([np.abs(a - b).max() for a, b in zip(one, other, strict=True)]))  # keeps a NaN
    same = [bool(a[-1].argmax() == b[-1].argmax()) for a, b in zip(one, other, strict=True)]
    return Parity(clips=len(one), largest_difference=difference, top_class_agreement=float(np.mean(same)))


def agrees(parity: Parity, precision: str) -> bool:
    """Whether enough top classes agree and no probability differs too much, for this precision."""
    enough = parity.top_class_agreement >= AGREEMENT[precision]
    return enough and parity.largest_difference <= LARGEST[precision]


def demand(parity: Parity, precision: str, what: str) -> None:
    """Raises GestaError unless the two networks agree."""
    if not agrees(parity, precision):
        raise GestaError(
            f"{what}: does not say what the PyTorch network says: top class equal on "
            f"{parity.top_class_agreement:.1%} of {parity.clips} clips (at least {AGREEMENT[precision]:.0%} passes), "
            f"probabilities differ by up to {parity.largest_difference:.3g} (at most {LARGEST[precision]:g} passes). "
            "Nothing was written; run the bundle with --engine torch, and report it with the recipe."
        )


def probabilities(engine: Engine, manifest: Manifest, clips: Sequence[Clip], role: str) -> list[np.ndarray]:
    """For each clip [1, N] (role "whole": one prediction a clip) or [K, N] ("step": one a chunk, the state carried).

    Raises GestaError without clips.
    """
    if not clips:
        raise GestaError("Export compares networks on real clips and got none. Give some prepared clips.")
    recogniser = Recogniser(engine, manifest)
    if role == "whole":
        return list(recogniser.predict_clips([clip.pixels for clip in clips])[:, None])
    streamed = []
    for clip in clips:
        stream = recogniser.open_stream()
        steps = stream.push_prepared(clip.pixels)
        streamed.append(np.array([list(p.probabilities.values()) for p in steps]))
    return streamed
