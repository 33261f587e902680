"""A bundle's weights written anew: sparse where that is smaller, in 32, 16 or 8 bits. Bundle in, bundle out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gesta.bundle import io, sparse
from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact
from gesta.bundle.sparse import Stored
from gesta.clips.cache import ClipCache
from gesta.compression.weights import Precision, Weights, count, narrowed, prunable
from gesta.exporting.run import weight_bytes
from gesta.metrics import joint_errors
from gesta.schema import GestaError, HandFrame, Sample
from gesta.tasks.clips.evaluate import evaluate
from gesta.tasks.hands.evaluate import evaluate_pose

MAIN_METRICS = ("val_accuracy", "test_accuracy", "val_error_mm", "test_mean_error_mm")
"""What is kept of the source's metrics, as `before_...`."""
WORDS: dict[Precision, str] = {"fp32": "32 bits", "fp16": "16 bits", "int8": "8 bits"}


@dataclass(frozen=True)
class Comparison:
    """Two bundles on the same clips: accuracies, share of clips with the same top class, probabilities' difference."""

    clips: int
    accuracy_before: float
    accuracy_after: float
    top_class_agreement: float
    largest_difference: float

    @property
    def line(self) -> str:
        """For people."""
        return (
            f"accuracy    {self.accuracy_before:.3f} -> {self.accuracy_after:.3f} on {self.clips} test clips, "
            f"same top class on {self.top_class_agreement:.1%}"
        )


@dataclass(frozen=True)
class PoseComparison:
    """Two hand pose bundles on the same frames: mean joint errors, and the largest distance between their joints."""

    frames: int
    error_before_mm: float
    error_after_mm: float
    largest_difference_mm: float

    @property
    def line(self) -> str:
        """For people."""
        return (
            f"error       {self.error_before_mm:.2f} -> {self.error_after_mm:.2f} mm on {self.frames} test frames, "
            f"joints differ by up to {self.largest_difference_mm:.2g} mm"
        )


@dataclass(frozen=True)
class Step:
    """What one step of compression left. Bytes are those of the weights' file.

    `kept`: tensors left in float32 where fewer bits were asked for; `emptied`: weights of which nothing is left.
    """

    bundle: Path
    parameters: int
    nonzero: int
    bytes_before: int
    bytes_after: int
    tensors: tuple[Stored, ...]
    kept: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    comparison: Comparison | PoseComparison | None = None

    def document(self) -> dict[str, Any]:
        """As plain values, for `--json`."""
        return {**asdict(self), "bundle": str(self.bundle)}


def write(
    source: Bundle[Any],
    out: Path,
    weights: Weights,
    *,
    precision: Precision,
    done: str,
    metrics: Mapping[str, Any] | None = None,
    samples: Sequence[Any] | None = None,
    cache: ClipCache | None = None,
    layout: str | None = None,
) -> Step:
    """A new bundle at `out`: the source with other weights, without its exported networks (they hold the old ones).

    `done` says what was done, for the card. With `samples` (frames for a hand pose model) both bundles are measured on
    them, and the result is written into the new one. The source's main metrics are kept as `before_...`. Raises
    GestaError if `out` is the source, or nothing can be written or measured.
    """
    if out.resolve() == source.path.resolve():
        raise GestaError(f"{out}: is the bundle itself, which stays as it is. Give another --out.", usage=True)
    values, scales, kept = narrowed(weights, precision)
    data, tensors = sparse.encode(values, scales)
    loaded = sparse.decode(data, str(out))
    parameters, nonzero = count(loaded)
    emptied = tuple(name for name in prunable(loaded) if not loaded[name].any())
    before = weight_bytes(source)
    old = source.manifest.metrics
    facts = {
        **{f"before_{name}": old[name] for name in MAIN_METRICS if name in old},
        **{name: value for name, value in old.items() if name.startswith("before_")},
        **(metrics or {}),
        "steps": "; ".join([*([old["steps"]] if "steps" in old else []), done]),
        "nonzero_parameters": nonzero,
        "weights_bytes": len(data),
    }
    artifact = Artifact(role="weights", engine="torch", precision=precision, file=io.WEIGHTS, sha256=io.digest(data))
    manifest = source.manifest.model_copy(update={"artifacts": (artifact,), "metrics": facts, "parameters": parameters})
    bundle = io.write(out, manifest, {io.WEIGHTS: data})
    comparison = None
    if samples:
        comparing = COMPARE[source.manifest.kind]
        comparison = comparing(source.path, out, samples, cache=cache, layout=layout)
        io.update(bundle, metrics={**facts, **asdict(comparison)})
    return Step(out, parameters, nonzero, before, len(data), tensors, kept, emptied, comparison)


def store_as(
    bundle: Path | str,
    out: Path,
    precision: Precision,
    *,
    samples: Sequence[Any] | None = None,
    cache: ClipCache | None = None,
    layout: str | None = None,
) -> Step:
    """The bundle with its weights stored in another precision; loaded they are float32 again.

    fp16 is the document's "half precision" (Mullick 2018, table 4.2). int8 rounds every row of a weight to 8 bits.
    """
    source = io.read_any(bundle)
    done = f"weights stored in {WORDS[precision]}"
    weights = io.load_weights(source)
    return write(source, out, weights, precision=precision, done=done, samples=samples, cache=cache, layout=layout)


def halve(
    bundle: Path | str,
    out: Path,
    *,
    samples: Sequence[Any] | None = None,
    cache: ClipCache | None = None,
    layout: str | None = None,
) -> Step:
    """Half precision: `store_as` with fp16. With `samples`, accuracy before and after."""
    return store_as(bundle, out, "fp16", samples=samples, cache=cache, layout=layout)


def compare(
    before: Path,
    after: Path,
    samples: Sequence[Sample],
    *,
    cache: ClipCache | None = None,
    layout: str | None = None,
) -> Comparison:
    """Both bundles through engine torch on the same labelled samples."""
    cache = cache or ClipCache()
    one, other = (
        evaluate(path, samples, engine="torch", cache=cache, layout=layout, progress=False) for path in (before, after)
    )
    return Comparison(
        clips=len(one.truth),
        accuracy_before=one.metrics["accuracy"],
        accuracy_after=other.metrics["accuracy"],
        top_class_agreement=float((one.predicted == other.predicted).mean()),
        largest_difference=float(np.abs(one.probabilities - other.probabilities).max()),
    )


def compare_poses(
    before: Path,
    after: Path,
    frames: Sequence[HandFrame],
    *,
    cache: ClipCache | None = None,  # noqa: ARG001 - hands are not cached
    layout: str | None = None,
) -> PoseComparison:
    """Both hand pose bundles through engine torch on the same frames."""
    one, other = (evaluate_pose(path, frames, engine="torch", layout=layout) for path in (before, after))
    return PoseComparison(
        frames=len(one.frames),
        error_before_mm=one.metrics["mean_error_mm"],
        error_after_mm=other.metrics["mean_error_mm"],
        largest_difference_mm=float(joint_errors(one.found_mm, other.found_mm).max()),
    )


COMPARE: dict[str, Callable[..., Comparison | PoseComparison]] = {"classifier": compare, "pose": compare_poses}
"""How two bundles are compared, by their kind."""


def stored_precision(bundle: Bundle[Any]) -> Precision:
    """In how many bits the weights are stored now."""
    artifact = bundle.find("weights", "torch")
    return artifact.precision if artifact is not None and artifact.precision in WORDS else "fp32"  # type: ignore[return-value]
