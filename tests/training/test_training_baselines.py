"""The baselines of a training of clips: how they are measured, what is delivered, and that it runs as a bundle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from calls import fit, load
from training.learnable import MemoryStore, samples, tiny

from gesta.schema import GestaError
from gesta.tasks.clips.baselines import Baselines, held_out


def measured(neighbor: float, mean: float, clips: int = 10) -> Baselines:
    return Baselines(0.1, neighbor, mean, clips, "the validation part")


@pytest.mark.parametrize(
    ("found", "network", "delivered"),
    [
        (measured(0.5, 0.4), 0.5, "network"),
        (measured(0.5, 0.4), 0.4, "nearest neighbor"),
        (measured(0.4, 0.5), 0.3, "nearest class mean"),
        (measured(0.5, 0.4), None, "network"),
        (measured(float("nan"), float("nan"), 0), None, "nearest neighbor"),
    ],
)
def test_the_best_is_delivered(found: Baselines, network: float | None, delivered: str) -> None:
    assert found.delivers(network) == delivered


def test_people_are_held_out_whole_and_without_people_clips_of_each_class() -> None:
    some = [replace(s, label="ab"[i % 2], subject=f"p{i // 4}") for i, s in enumerate(samples()[:8])]
    assert [out for _, out in held_out(some)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    alone = [replace(s, subject=None) for s in some]
    assert [out for _, out in held_out(alone)] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert [sorted(rest + out) for rest, out in held_out(alone, 3)] == [list(range(8))] * 3
    assert held_out(alone[:2]) == []


def test_of_one_clip_a_class_the_nearest_neighbor_is_delivered(tmp_path: Path) -> None:
    one_each = [next(s for s in samples() if s.label == label) for label in ("c0", "c1", "c2")]
    one_each = [replace(s, split="train") for s in one_each]
    store = MemoryStore()
    found = fit(
        one_each, tiny("auto", "baselines=true"), tmp_path, layout="memory", device="cpu", progress=False, cache=store
    )
    baselines = found.metrics["baselines"]
    assert (baselines["clips"], baselines["delivered"], found.history) == (0, "nearest neighbor", [])
    recognizer = load(found.bundle, engine="torch", device="cpu")
    for sample in one_each:
        clip = store.load(sample, recognizer.manifest.transform)
        assert recognizer.predict(clip).label == sample.label
    with pytest.raises(GestaError, match="no network to begin from"):
        from gesta.tasks.clips.transfer import warm_start

        warm_start(found.bundle, samples(), 0)


def test_a_network_is_measured_where_the_lookups_are(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    some = [replace(s, split="train") for s in samples() if s.split == "train"]
    few = [s for label in ("c0", "c1") for s in [s for s in some if s.label == label][:3]]
    recipe = tiny("auto", "baselines=true", "training.epochs=1")
    found = fit(few, recipe, tmp_path, layout="memory", device="cpu", progress=False, cache=MemoryStore())
    baselines = found.metrics["baselines"]
    assert baselines["where"] == "training clips held out in turn" and baselines["clips"] == 6
    best = max(baselines["nearest_neighbor"], baselines["nearest_class_mean"])
    assert (baselines["delivered"] == "network") == (baselines["network"] >= best)
    assert np.isclose(baselines["chance"], 0.5)
