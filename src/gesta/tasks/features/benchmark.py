"""Speed of a backbone and a classifier of its features: milliseconds of an answer, by engine on one core."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle import io
from gesta.engines import host as machine
from gesta.evaluation.benchmark import Say, latencies, sizes
from gesta.schema import GestaError, Sample
from gesta.tasks.features.manifest import BackboneUse, FeatureManifest
from gesta.tasks.features.predict import holds, videos_of

VIDEOS = 4
RANDOM_FRAMES = 16
"""Of a generated video, where the model does not say how many it sees."""


def benchmark_sequence(
    bundle_path: Path | str,
    samples: Sequence[Sample] = (),
    *,
    engines: Sequence[str] | None = None,
    seconds: float = 3.0,
    say: Say = lambda _text: None,
) -> dict[str, Any]:
    """Latencies of every engine that the bundle has something for, about `seconds` each, on a few of the videos.

    Without samples, videos of noise. What cannot be measured is named with its reason. Raises GestaError where the
    backbone is not in the bundle or none of the videos can be read.
    """
    path = Path(bundle_path)
    bundle = io.read(path, FeatureManifest)
    manifest, used = bundle.manifest, bundle.manifest.backbone
    if not holds(bundle):
        raise GestaError(
            f"{path}: its backbone {used.name} is not in the bundle, it was too large. Export the model with it and "
            f"measure that: gesta export {path} --to openvino --backbone-weights FILE --out OUT"
        )
    videos = list(videos_of(samples, used, VIDEOS)) if samples else _noise(used)
    if not videos:
        raise GestaError(f"none of {min(VIDEOS, len(samples))} videos of the data could be read. Give other data.")
    return {
        "bundle": str(bundle_path),
        "model": {
            "name": manifest.name,
            "parameters": manifest.parameters,
            "backbone": used.name,
            "window": used.window,
            "bytes": sizes(path, manifest),
        },
        "videos": {"source": "data" if samples else "random", "features": [len(video) for video in videos]},
        "latency": latencies(path, manifest, videos, engines, seconds, say),
        "machine": machine.describe(),
    }


def _noise(used: BackboneUse) -> list[NDArray[np.uint8]]:
    count = -(-(used.frames or RANDOM_FRAMES) // used.window)
    rng = np.random.default_rng(0)
    return [rng.integers(256, size=(count, *used.shape), dtype=np.uint8) for _ in range(VIDEOS)]
