"""An hour of frames takes no more memory than a minute."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from gesta.bundle.manifest import Provenance
from gesta.clips.transform import Transform
from gesta.schema import Frame
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.stream import Stream

SIZE = 16


def stand_in(steps: bool) -> SimpleNamespace:
    logits = np.zeros((1, 2), np.float32)
    return SimpleNamespace(
        name="stand-in",
        inputs=lambda role="whole": (
            ("chunk", "h") if steps and role == "step" else ("clip",) if role == "whole" else ()
        ),
        start=lambda batch: {"h": np.zeros((1, batch, 8), np.float32)},
        step=lambda _feed, state: ({"logits": logits}, {"h": state["h"] + 1}),
        run=lambda _feed: {"logits": logits},
    )


@pytest.mark.integration
@pytest.mark.parametrize(("steps", "body", "frames"), [(True, "frame", 6_000), (False, "motion", 3_000)])
def test_memory_does_not_grow(steps, body, frames):
    transform = Transform(fps=20, size=SIZE, streams=("body",), channels=("gray",), body=body, smooth=False)
    origin = Provenance(created="", gesta="0", seed=0, layout="", data_fingerprint="")
    manifest = ClipManifest(name="", labels=("a", "b"), transform=transform, recipe={}, parameters=0, provenance=origin)
    stream = Stream(stand_in(steps), manifest)
    images = np.random.default_rng(0).integers(0, 256, (7, SIZE, SIZE)).astype(np.uint8)
    found, used = 0, []
    tracemalloc.start()
    try:
        for i in range(frames):
            found += len(stream.push(Frame(i / 20, gray=images[i % 7])))
            if i in (frames // 10, frames - 1):
                used.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert found == (frames - 1) // 4
    assert used[1] - used[0] < 10_000
