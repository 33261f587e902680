"""Training of hand pose: it learns, says what it left out, resumes to the same end, keeps the document's protocol."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from calls import fit_pose
from safetensors.numpy import load_file
from sources.hand_files import write_icvl, write_msra, write_nyu
from training.hand_sets import NAMES, make_hands, split_hands

from gesta.bundle import io
from gesta.cli import app
from gesta.models.pose_catalog import build_pose
from gesta.schema import GestaError, HandFrame
from gesta.sources.hand_catalog import read
from gesta.tasks.catalog import load_recipe, read_bundle
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.hands.cache import collect
from gesta.tasks.hands.data import HandSet, color_statistics
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.module import LearnPose, halvings
from gesta.tasks.hands.network import load_network as load_pose_network
from gesta.tasks.hands.recipe import HandRecipe
from gesta.tasks.hands.split import assign_hand_splits
from gesta.tasks.hands.transform import HandTransform, preprocess_hand
from gesta.training.learner import LossNotFinite
from gesta.training.run import Fitted

SMALL = (
    "input.size=16",
    "input.cube_mm=260",
    "model.hidden=32",
    "model.dropout=0",
    "training.batch=8",
    "training.epochs=2",
)
ADAM = ("training.optimizer=adam", "training.learning_rate=0.003")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[HandFrame]:
    return split_hands(make_hands(tmp_path_factory.mktemp("hands"), 40))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def recipe(name: str = "depth-net", *sets: str) -> HandRecipe:
    return load_recipe(f"kazakos/{name}", [*SMALL, *sets])


def fitted(frames: list[HandFrame], chosen: HandRecipe, out: Path, cache: Path, **more: Any) -> Fitted:
    return fit_pose(
        frames, chosen, out, layout="hand_folder", joint_names=NAMES, progress=False, cache=cache, device="cpu", **more
    )


@pytest.mark.integration
def test_it_learns_far_better_than_the_mean_pose_and_the_bundle_answers_alike(
    frames: list[HandFrame], cache: Path, tmp_path: Path
) -> None:
    chosen = recipe("compact", "training.epochs=20", "training.learning_rate=0.01", "model.width=0.25")
    found = fitted(frames, chosen, tmp_path, cache)
    assert found.metrics["val_error_mm"] < 0.7 * found.facts["mean_pose_mm"]
    assert found.history[-1]["train_loss"] < 0.5 * found.history[0]["train_loss"]
    bundle = io.read(found.bundle, HandManifest)
    assert bundle.manifest.joints == NAMES and bundle.manifest.provenance.clips == {"train": 24, "val": 8}
    network = load_pose_network(bundle)
    val = [f for f in frames if f.split == "val"]
    errors = []
    for frame in val:
        hand = preprocess_hand(frame, bundle.manifest.transform)
        joints = hand.joints_mm(network(torch.from_numpy(hand.image)[None])[0].numpy())
        errors.append(np.linalg.norm(joints - frame.joints_mm, axis=1))
    assert np.mean(errors) == pytest.approx(found.metrics["val_error_mm"], abs=0.01)
    np.testing.assert_allclose(np.mean(errors, axis=0), found.metrics["val_per_joint_mm"], atol=0.01)
    assert (tmp_path / "history.png").stat().st_size > 0


@pytest.mark.parametrize("name", ["rgb-net", "fusepred-net"])
def test_every_kind_of_input_trains(name: str, frames: list[HandFrame], cache: Path, tmp_path: Path) -> None:
    sets = ("model.weights=per_output",) if name == "fusepred-net" else ()
    found = fitted(frames, recipe(name, "training.epochs=1", *sets), tmp_path, cache)
    transform = io.read(found.bundle, HandManifest).manifest.transform
    assert transform.color_mean is not None
    if name == "fusepred-net":
        share = io.load_weights(io.read(found.bundle, HandManifest))["share"]
        assert share.min() > 0 and share.max() < 1 and not np.allclose(share, 0.5)


def test_the_loss_has_the_prior_of_the_training_poses(
    frames: list[HandFrame], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learners: list[LearnPose] = []
    monkeypatch.setattr(
        "gesta.tasks.hands.fit.LearnPose", lambda *a, **k: learners.append(LearnPose(*a, **k)) or learners[-1]
    )
    sets = ("model.after=[conv2, conv4]", "model.function=gated", "training.epochs=1")
    found = fitted(frames, recipe("fuse-net", "training.prior=3", *sets), tmp_path, cache)
    kept = io.read(found.bundle, HandManifest).manifest.recipe
    assert kept["model"]["after"] == ["conv2", "conv4"] and kept["training"]["prior"] == 3
    learner, plain = learners[0], LearnPose(found.network, recipe("fuse-net").training, steps=1)
    assert learner.prior is not None and len(learner.prior.mean) == 3 * len(NAMES)
    batch = {
        "hand": torch.randn(2, 4, 16, 16),
        "joints": torch.rand(2, len(NAMES), 3),
        "half_mm": torch.full((2,), 130.0),
    }
    learner.network.eval()
    with torch.no_grad():
        more = learner.loss(batch) - plain.loss(batch)
        torch.testing.assert_close(more, 3 * learner.prior(learner.network(batch["hand"])))
    assert more > 0


@pytest.mark.integration
def test_each_network_of_a_score_fusion_ends_at_its_own_best(
    frames: list[HandFrame], cache: Path, tmp_path: Path
) -> None:
    chosen = recipe("fusepred-net", *ADAM, "training.epochs=3", "training.plateau=1", "training.patience=null")
    found = fitted(frames, chosen, tmp_path / "a", cache)
    logs = {part: (tmp_path / "a" / "logs" / f"{part}.csv").read_text().splitlines() for part in ("depth", "color")}
    assert all(len(lines) == 4 for lines in logs.values()) and len(found.history) == 6
    best = {}
    for part in ("depth", "color"):
        kept = load_file(tmp_path / "a" / "checkpoints" / f"{part}-best.safetensors")
        best[part] = {name.removeprefix("network."): tensor for name, tensor in kept.items()}
        own = getattr(found.network, part).state_dict()
        assert all(np.array_equal(own[name].numpy(), tensor) for name, tensor in best[part].items())
    assert found.metrics["train_mse"] > 0 and found.metrics["best_epoch"] in (1, 2, 3)
    again = fitted(frames, chosen, tmp_path / "a", cache, resume=True)
    assert [row["val_mse"] for row in again.history] == [row["val_mse"] for row in found.history]


class Stop(Exception):
    pass


@pytest.mark.integration
def test_a_stopped_run_ends_as_it_would_have(frames: list[HandFrame], cache: Path, tmp_path: Path) -> None:
    from lightning.pytorch.callbacks import Callback

    class Killed(Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
            if trainer.current_epoch == 2:
                raise Stop

    chosen = recipe(
        "depth-net", *ADAM, "training.epochs=4", "training.plateau=1", "augmentation.shift_mm=5", "model.dropout=0.2"
    )
    whole = fitted(frames, chosen, tmp_path / "a", cache)
    with pytest.raises(Stop):
        fitted(frames, chosen, tmp_path / "b", cache, callbacks=[Killed()])
    again = fitted(frames, chosen, tmp_path / "b", cache, resume=True)
    for one, other in zip(whole.history, again.history, strict=True):
        timed = {"seconds", "waiting_s"}
        assert {k: v for k, v in one.items() if k not in timed} == {k: v for k, v in other.items() if k not in timed}
    with pytest.raises(GestaError, match="another recipe"):
        fitted(frames, recipe("depth-net"), tmp_path / "b", cache, resume=True)


def test_learning_rate_is_halved_on_a_plateau() -> None:
    assert [halvings([5, 4, 4, 4, 4, 4, 3, 3][:n], 2) for n in range(9)] == [0, 0, 0, 0, 1, 1, 2, 2, 2]


@pytest.mark.integration
def test_at_a_halving_training_goes_back_to_the_best_epoch(
    frames: list[HandFrame], cache: Path, tmp_path: Path
) -> None:
    from lightning.pytorch.callbacks import Callback

    starts: list[Any] = []
    ends: list[Any] = []

    def state(trainer: Any, pl_module: Any) -> Any:
        held = trainer.optimizers[0].state_dict()["state"]
        momentum = [held[i]["momentum_buffer"] for i in sorted(held) if held[i].get("momentum_buffer") is not None]
        return [t.clone() for t in (*pl_module.network.state_dict().values(), *momentum)]

    class Watched(Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            starts.append(state(trainer, pl_module))

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            ends.append(state(trainer, pl_module))

    wild = recipe("depth-net", "training.plateau=1", "training.epochs=8", "training.learning_rate=0.2")
    history = fitted(frames, wild, tmp_path, cache, callbacks=[Watched()]).history
    losses, rates = [row["val_mse"] for row in history], [row["learning_rate"] for row in history]
    halved = [e for e in range(1, len(history)) if rates[e] < rates[e - 1]]
    assert halved and any(losses[e - 1] > min(losses[:e]) for e in halved)
    for epoch in range(1, len(history)):
        before = losses.index(min(losses[:epoch])) if epoch in halved else epoch - 1
        assert len(starts[epoch]) == len(ends[before])
        assert all(torch.equal(a, b) for a, b in zip(starts[epoch], ends[before], strict=True))


def test_early_stopping_on_the_validation_error(frames: list[HandFrame], cache: Path, tmp_path: Path) -> None:
    still = recipe("depth-net", "training.learning_rate=1e-12", "training.epochs=9", "training.patience=2")
    found = fitted(frames, still, tmp_path, cache)
    assert len(found.history) < 9


def test_what_is_left_out_is_said(frames: list[HandFrame], cache: Path, tmp_path: Path) -> None:
    assert frames[0].joints_mm is not None
    bad = [
        replace(frames[0], id="nowhere", split="train", center_mm=np.array([0, 0, 3000], np.float32)),
        replace(frames[0], id="fewer", split="train", joints_mm=frames[0].joints_mm[:2]),
    ]
    found = fitted([*frames, *bad], recipe("depth-net", "training.epochs=1", "input.cube_mm=80"), tmp_path, cache)
    reasons = " ".join(p.reason for p in found.skipped)
    assert "empty" in reasons and "2 joints, not 3" in reasons
    assert any("outside the cube of 80 mm" in note for note in found.notes)
    assert io.read(found.bundle, HandManifest).manifest.provenance.skipped == 2


def test_too_little_and_a_loss_that_is_not_finite(frames: list[HandFrame], cache: Path, tmp_path: Path) -> None:
    with pytest.raises(GestaError, match="at least 4"):
        fitted(frames[:3], recipe(), tmp_path, cache)
    with pytest.raises(LossNotFinite, match="learning rate"):
        fitted(frames, recipe("deep-prior", "training.learning_rate=1e9", "training.epochs=9"), tmp_path, cache)
    with pytest.raises(GestaError, match="does not support the joint 'thumb'"):
        fitted(frames, recipe("deep-model"), tmp_path, cache)


def test_color_statistics_against_a_plain_loop(frames: list[HandFrame], cache: Path) -> None:
    transform = HandTransform(inputs="rgb", size=16, cube_mm=260)
    windows, kept, _ = collect(frames, transform, wide=True, root=cache)
    mean, deviation = color_statistics(windows, transform)
    pixels = np.concatenate([windows.patch(i, transform)[1].reshape(-1, 3) for i in range(len(kept))])  # type: ignore[union-attr]
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-4)
    np.testing.assert_allclose(deviation, pixels.std(0), rtol=1e-4)


def test_joints_move_with_the_image(frames: list[HandFrame], cache: Path) -> None:
    """Where the tip's ball is in the varied patch, there the varied tip is."""
    transform = HandTransform(size=64, cube_mm=260)
    windows, kept, _ = collect(frames, transform, wide=True, root=cache)
    settings = recipe("depth-net", "augmentation.rotation_deg=60", "augmentation.shift_mm=8").augmentation
    joints = np.stack([f.joints_mm for f in kept if f.joints_mm is not None])
    hands = HandSet(windows, joints, transform, settings, seed=3)
    images, moved, _ = zip(*(hands[i] for i in range(len(hands))), strict=True)
    plain = HandSet(windows, joints, transform).poses().numpy()
    assert np.abs(np.stack(moved) - plain).max() > 0.1
    hits = 0
    for image, pose in zip(images, moved, strict=True):
        column, row = (pose[2, :2] * (1, -1) * 32 + 31.5).round().astype(int)
        near = image[0, max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
        hits += bool(near.size) and abs(near.min() - pose[2, 2]) < 0.25
    assert hits > 0.9 * len(hands)
    hands.epoch = 1
    assert not np.array_equal(hands[0][1], moved[0])


@pytest.mark.integration
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    make_hands(tmp_path / "hands", 30, color=False)
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    sets = [argument for change in (*SMALL, "training.epochs=1") for argument in ("--set", change)]
    arguments = ["train", str(tmp_path / "hands"), "--recipe", "kazakos/depth-net", "--out", str(tmp_path / "run")]
    app([*arguments, *sets, "--device", "cpu", "--json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert document["metrics"]["val_frames"] == 6 and document["mean_pose_mm"] > 0
    assert document["parity"]["largest_difference_mm"] < 0.1
    bundle = io.read(document["bundle"], HandManifest)
    assert bundle.find("whole", "openvino") is not None and "3 joints" in (bundle.path / "CARD.md").read_text()
    with pytest.raises(GestaError, match=r"unknown key training.epoch"):
        app([*arguments, "--overwrite", "--set", "training.epoch=1"], standalone_mode=False)
    with pytest.raises(GestaError, match="contains data for hand pose estimation"):
        app(["train", str(tmp_path / "hands"), "--recipe", "auto"], standalone_mode=False)


@pytest.mark.integration
@pytest.mark.parametrize(("layout", "joints"), [("nyu", 14), ("icvl", 16), ("msra", 21)])
def test_the_other_layouts_train(layout: str, joints: int, cache: Path, tmp_path: Path) -> None:
    {"nyu": write_nyu, "icvl": write_icvl, "msra": write_msra}[layout](tmp_path / "data", 6)
    listing = read(tmp_path / "data")
    frames, _ = assign_hand_splits(listing.frames)
    chosen = recipe("deep-model", "input.cube_mm=600", "training.epochs=1")  # these images show no hand
    found = fit_pose(
        frames, chosen, tmp_path, layout=layout, joint_names=listing.joint_names, progress=False, cache=cache
    )
    manifest = io.read(found.bundle, HandManifest).manifest
    assert listing.layout == manifest.provenance.layout == layout and len(manifest.joints) == joints


def test_a_pose_bundle_is_no_recognizer_and_the_other_way_round(
    frames: list[HandFrame], cache: Path, tmp_path: Path
) -> None:
    found = fitted(frames, recipe("depth-net", "training.epochs=1"), tmp_path, cache)
    with pytest.raises(GestaError, match="task 'hands'"):
        io.read(found.bundle, ClipManifest)
    assert read_bundle(found.bundle).manifest.kind == "hands"
    other = build_pose({"name": "net1", "hidden": 8}, joint_names=NAMES, inputs="depth", size=16)
    assert sum(p.numel() for p in other.parameters()) != io.read(found.bundle, HandManifest).manifest.parameters
