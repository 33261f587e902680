"""Training of the hand detector: it finds hands, is trained once, and only where the recipe and the data want it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from calls import fit_pose, load
from training.hand_sets import NAMES, make_hands, split_hands

from gesta.models.hand_center import HandCenter
from gesta.recipes import changed
from gesta.schema import HandFrame
from gesta.tasks.catalog import load_recipe, read_bundle
from gesta.tasks.hands import detector
from gesta.tasks.hands.center import nearest_object
from gesta.tasks.hands.detect import moved, search_cube, seen
from gesta.tasks.hands.read import read_hand
from gesta.training.run import Run

TINY = ("input.size=16", "model.name=net1", "model.hidden=8", "training.batch=8", "training.epochs=1", "detector=true")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[HandFrame]:
    return split_hands(make_hands(tmp_path_factory.mktemp("hands"), 40))


def test_network_answers_for_any_size_and_starts_at_the_middle() -> None:
    network = HandCenter().eval()
    assert sum(weight.numel() for weight in network.parameters()) == 97_908
    for size in (32, 64):
        assert network(torch.randn(2, 1, size, size)).abs().max() < 0.1


def test_a_drawn_cube_without_shift_shows_what_the_search_sees(frames: list[HandFrame]) -> None:
    still: Any = SimpleNamespace(random=lambda: 0.0, uniform=lambda _low, _high, size=None: np.zeros(size or ()))
    frame = frames[0]
    patch, offset_of = detector.collect([frame], 300.0, progress=False).drawn(0, still, 0.0)
    depth, _ = read_hand(frame)
    cube = search_cube(frame.camera, nearest_object(depth, frame.camera, 300.0), 300.0)
    assert (np.abs(patch - seen(depth, cube)) < 0.01).mean() > 0.95  # but for the pixels of an edge
    np.testing.assert_allclose(moved(cube, offset_of), frame.center_mm, atol=0.1)


def test_frames_without_an_annotated_center_give_no_detector(frames: list[HandFrame], tmp_path: Path) -> None:
    unknown = [replace(frame, center_mm=None) for frame in frames]
    network, metrics, (note,) = detector.fit(unknown, frames, 300.0, 0.0, Run(tmp_path, progress=False))
    assert (
        network is None
        and not metrics
        and note == "no hand detector: only 0 training frames have a center and an object."
    )


def test_frames_whose_nearest_object_is_elsewhere_are_left_out(frames: list[HandFrame]) -> None:
    center = frames[0].center_mm
    assert center is not None
    elsewhere = replace(frames[0], center_mm=center + np.array([400, 0, 0], center.dtype))
    assert len(detector.collect([elsewhere, frames[1]], 300.0, progress=False)) == 1


def test_validation_frames_without_a_center_give_no_metrics(frames: list[HandFrame], tmp_path: Path) -> None:
    val = [replace(frames[0], center_mm=None)]
    network, metrics, notes = detector.fit(frames[:4], val, 300.0, 0.0, Run(tmp_path, progress=False))
    assert network is not None and not metrics and not notes


def test_only_recipes_with_a_detector_say_so() -> None:
    plain = load_recipe("kazakos/depth-net", [])
    assert "detector" not in plain.model_dump() and load_recipe("a2j-compact", []).detector
    assert changed(plain, ["detector=true"]).model_dump()["detector"] is True


@pytest.mark.integration
def test_it_learns_to_find_hands_better_than_its_start(frames: list[HandFrame], tmp_path: Path) -> None:
    train, val = ([f for f in frames if f.split == part] for part in ("train", "val"))
    run = Run(tmp_path, device="cpu", progress=False)
    _, metrics, notes = detector.fit(train, val, 300.0, 0.0, run)
    assert metrics["val_center_mm"] < 0.75 * metrics["val_center_nearest_mm"] and not notes
    _, again, _ = detector.fit(train, val, 300.0, 0.0, run)
    assert again == metrics


@pytest.mark.integration
def test_a_training_with_a_detector_and_its_resumption(
    frames: list[HandFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector, "EPOCHS", 2)
    recipe = load_recipe("kazakos/depth-net", TINY)
    options = {
        "layout": "hand_folder",
        "joint_names": NAMES,
        "progress": False,
        "device": "cpu",
        "cache": tmp_path / "c",
    }
    found = fit_pose(frames, recipe, tmp_path / "run", **options)
    assert found.metrics["val_center_mm"] > 0 and read_bundle(found.bundle).manifest.has_detector
    said = load(found.bundle, engine="torch").predict(replace(frames[0], center_mm=None))
    assert said.center_source == "detector"
    monkeypatch.setattr(detector, "train", lambda *_: pytest.fail("trained twice"))
    again = fit_pose(frames, recipe, tmp_path / "run", resume=True, **options)
    assert again.metrics == found.metrics
