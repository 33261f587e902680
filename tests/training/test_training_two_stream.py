"""Two streams and published weights, from a recipe to a bundle that runs without PyTorch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from calls import add_networks, fit
from training.learnable import MemoryStore, samples, tiny

import gesta
from gesta.bundle import io
from gesta.models.catalog import build_backbone
from gesta.recipes import RecipeError
from gesta.schema import GestaError
from gesta.tasks.clips.data import ClipSet
from gesta.tasks.clips.facts import resolve_padding
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.network import load_network

pytestmark = pytest.mark.integration

INPUT = ("input.size=32", "input.window=8", "input.streams=[body]", "input.channels=[rgb, flow]")
ST = (*INPUT, "model.name=st_resnet18", "model.width=0.0625", "model.memory=0", "model.context=1", "training.epochs=1")


def test_two_streams_become_a_bundle_that_runs_without_torch(tmp_path: Path) -> None:
    recipe = tiny("auto", *ST, "model.fusion=score", "model.stack=3")
    result = fit(samples(12), recipe, tmp_path, layout="memory", device="cpu", progress=False, cache=MemoryStore())
    transform = io.read(result.bundle, ClipManifest).manifest.transform
    assert transform.channels == ("red", "green", "blue", "flow_x", "flow_y")
    clips = [MemoryStore().load(sample, transform) for sample in samples(4)]
    parity = add_networks(result.bundle, clips)
    assert parity.top_class_agreement == 1.0 and parity.largest_difference < 1e-3
    assert gesta.load(result.bundle, engine="openvino").predict(clips[0]).label in ("c0", "c1", "c2")


def two(out: Path, *changes: str, store: MemoryStore | None = None, **options: object):
    """Trains two streams on 8 clips, with 4 for validation."""
    recipe = tiny("auto", *ST[:-1], "training.epochs=2", *changes)
    clips = [replace(s, split="val" if n >= 8 else "train") for n, s in enumerate(samples(12))]
    given = {"layout": "memory", "device": "cpu", "progress": False, "cache": store or MemoryStore()}
    return fit(clips, recipe, out, **given, **options)


def state(result) -> dict[str, torch.Tensor]:
    return load_network(io.read(result.bundle, ClipManifest)).state_dict()


def best_stream(out: Path, name: str) -> dict[str, torch.Tensor]:
    found = safetensors.torch.load_file(out / "checkpoints" / f"{name}-best.safetensors")
    return {f"{name}.{key.removeprefix('network.')}": value for key, value in found.items()}


def is_last(name: str) -> bool:
    return ".fc." in name


@pytest.mark.parametrize("way", ["score", "feature"])
def test_each_stream_is_trained_by_itself_to_its_own_best_epoch(tmp_path: Path, way: str) -> None:
    result = two(tmp_path, f"model.fusion={way}")
    network, rows = state(result), result.history
    for name in ("appearance", "motion"):
        best = best_stream(tmp_path, name)
        changed = [key for key, value in best.items() if not torch.equal(network[key], value)]
        assert len(best) > 20 and all(way == "feature" and is_last(key) for key in changed)
        accuracies = [row[f"{name}_val_accuracy"] for row in rows if f"{name}_val_accuracy" in row]
        assert len(accuracies) == 2 and result.metrics[f"{name}_val_accuracy"] == max(accuracies)
        assert (tmp_path / f"{name}.png").exists()
    fused = rows[4:]
    assert [("train_loss" in row, "val_loss" in row) for row in fused] == (
        [(False, True)] if way == "score" else [(True, True)] * 2
    )
    assert result.metrics["val_accuracy"] == max(row["val_accuracy"] for row in fused)
    assert result.metrics["epochs"] == 2 and (tmp_path / "history.png").exists() == (way == "feature")


def test_fused_scores_are_measured_on_the_validation_part(tmp_path: Path) -> None:
    result = two(tmp_path, "model.fusion=score")
    network, transform = load_network(io.read(result.bundle, ClipManifest)), gesta_transform_of(result)
    clips = ClipSet(samples(12)[8:], ("c0", "c1", "c2"), transform, MemoryStore())
    batch = clips.collate([clips[n] for n in range(4)])
    with torch.no_grad():
        logits = network(batch["clip"])
    expected = torch.nn.functional.cross_entropy(logits, batch["target"]).item()
    assert result.metrics["val_loss"] == pytest.approx(expected, rel=1e-4)
    assert result.metrics["val_accuracy"] == (logits.argmax(1) == batch["target"]).float().mean().item()


@pytest.mark.parametrize("way", ["score", "feature"])
def test_two_streams_resume_in_the_motion_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    whole = two(tmp_path / "whole", f"model.fusion={way}")
    monkeypatch.setattr("gesta.tasks.clips.data.HELD_BYTES", 0)
    with pytest.raises(RuntimeError, match="killed"):  # 12 loads an epoch: in the second stage
        two(tmp_path / "broken", f"model.fusion={way}", store=MemoryStore(fail_after=40))
    assert (tmp_path / "broken" / "checkpoints" / "motion.ckpt").exists()
    resumed = two(tmp_path / "broken", f"model.fusion={way}", resume=True)
    torch.testing.assert_close(state(resumed), state(whole), rtol=0, atol=0)


def test_streams_that_are_trained_on_are_fused_anew(tmp_path: Path) -> None:
    changes = ("model.fusion=feature", "training.schedule=constant")
    two(tmp_path, *changes)
    longer = two(tmp_path, *changes, "training.epochs=4", resume=True)
    network = state(longer)
    for name in ("appearance", "motion"):
        assert all(torch.equal(network[k], v) for k, v in best_stream(tmp_path, name).items() if not is_last(k))
    assert [row["epoch"] for row in longer.history] == [1, 2, 3, 4] * 3


def test_rates_of_layers_of_each_stream(tmp_path: Path) -> None:
    slow = "training.rates={appearance.layer1: 1e-9, motion: 1e-9}"
    fused = ("model.fusion=feature", "training.weight_decay=0")
    before = state(two(tmp_path / "0", *fused, "training.learning_rate=1e-9"))
    after = state(two(tmp_path / "1", *fused, slow))

    def moved(part: str) -> float:
        names = [k for k in before if k.startswith(part) and k.endswith("weight") and not is_last(k)]
        return max((after[k] - before[k]).abs().max().item() for k in names)

    assert moved("motion.") < 1e-4 and moved("appearance.network.layer1") < 1e-4 < moved("appearance.network.layer3")
    with pytest.raises(GestaError, match=r"training\.rates: the network has no layer 'motion\.layer9'"):
        two(tmp_path / "2", *fused, "training.rates={motion.layer9: 0.1}")
    assert not (tmp_path / "2" / "checkpoints" / "appearance.ckpt").exists()


def test_training_begins_with_published_weights(tmp_path: Path) -> None:
    file = tmp_path / "image.safetensors"
    image = build_backbone("resnet18", width=0.0625)
    safetensors.torch.save_file(image.state_dict(), file)
    ways = ("training.learning_rate=1e-9", "training.weight_decay=0", f"model.weights={file}")
    recipe = tiny("auto", *ST, *ways)
    result = fit(samples(12), recipe, tmp_path, layout="memory", device="cpu", progress=False, cache=MemoryStore())
    file.unlink()  # a bundle has its own
    found = load_network(io.read(result.bundle, ClipManifest)).network.layer4[1].conv2.weight
    np.testing.assert_allclose(found.numpy(), image.layer4[1].conv2.weight.detach().numpy(), atol=1e-6)
    with pytest.raises(GestaError, match="no such weights file"):
        fit(samples(12), recipe, tmp_path, layout="memory", device="cpu", progress=False, cache=MemoryStore())


def test_the_motion_stream_begins_with_a_file_of_its_own(tmp_path: Path) -> None:
    files, images = [], []
    for number, channels in enumerate((3, 2)):
        images.append(build_backbone("resnet18", width=0.0625, channels=channels))
        files.append(tmp_path / f"{number}.safetensors")
        safetensors.torch.save_file(images[-1].state_dict(), files[-1])
    ways = ("training.learning_rate=1e-9", "training.weight_decay=0", f"model.weights={files[0]}")
    two = ("model.fusion=score", "model.stack=2", f"model.motion_weights={files[1]}")
    recipe = tiny("auto", *ST, *ways, *two)
    result = fit(samples(12), recipe, tmp_path, layout="memory", device="cpu", progress=False, cache=MemoryStore())
    files[1].unlink()  # a bundle has its own
    network = load_network(io.read(result.bundle, ClipManifest))
    for tower, image in zip((network.appearance, network.motion.network), images, strict=True):
        found = tower.network.layer4[1].conv2.weight
        np.testing.assert_allclose(found.numpy(), image.layer4[1].conv2.weight.detach().numpy(), atol=1e-6)
    with pytest.raises(GestaError, match=r"model\.weights: .*1\.safetensors: no such weights file"):
        fit(samples(12), recipe, tmp_path, layout="memory", device="cpu", progress=False, cache=MemoryStore())
    with pytest.raises(RecipeError, match="motion_weights are for the network on optical flow in two-stream models"):
        tiny("auto", *ST, f"model.motion_weights={files[1]}")


def test_two_files_that_are_padded_differently_are_refused(tmp_path: Path) -> None:
    files = [tmp_path / "rgb.safetensors", tmp_path / "googlenet.safetensors"]
    for file, name in zip(files, ("Conv3d_1a_7x7.conv3d.weight", "conv1.conv.weight"), strict=True):
        safetensors.torch.save_file({name: torch.zeros(1)}, file)
    two = ("model.name=i3d", "model.fusion=score", f"model.weights={files[0]}", f"model.motion_weights={files[1]}")
    recipe = tiny("auto", *INPUT, "model.memory=0", *two)
    with pytest.raises(GestaError, match="one file is of an image network, the other of I3D"):
        resolve_padding(recipe)
    assert resolve_padding(tiny("auto", *INPUT, "model.memory=0", *two, "model.padding=same")).model.padding == "same"
    with pytest.raises(GestaError, match=r"model\.motion_weights: .*nowhere\.pt: no such weights file"):
        resolve_padding(tiny("auto", *INPUT, "model.memory=0", *two[:3], "model.motion_weights=nowhere.pt"))


def test_a_bundle_keeps_the_padding_of_image_weights(tmp_path: Path) -> None:
    file = tmp_path / "googlenet.safetensors"
    image = build_backbone("inception_v1", width=0.0625)
    safetensors.torch.save_file({k: v.contiguous() for k, v in image.state_dict().items()}, file)
    settings = ("model.name=i3d", "model.width=0.0625", "model.memory=0", "training.epochs=1", f"model.weights={file}")
    recipe = tiny("auto", *INPUT[:3], "input.channels=[rgb]", *settings)
    result = fit(samples(12), recipe, tmp_path, layout="memory", device="cpu", progress=False, cache=MemoryStore())
    bundle = io.read(result.bundle, ClipManifest)
    network = load_network(bundle)
    assert network.padding == "inception_v1" and network.Conv3d_1a_7x7.time == "repeat"
    clips = [MemoryStore().load(sample, bundle.manifest.transform) for sample in samples(4)]
    assert add_networks(result.bundle, clips).largest_difference < 1e-3
    with pytest.raises(RecipeError, match="padding is for i3d, not for c3d; leave it out"):
        tiny("auto", "model.name=c3d", "model.padding=same")


def test_a_random_mirror_turns_the_flow_around() -> None:
    recipe = tiny("auto", *ST, "augmentation.flip=1.0", "input.fps=20", "input.body=frame", "augmentation.window=null")
    settings = recipe.augmentation.model_copy(update={"speed": (1.0, 1.0)})
    transform = gesta_transform(recipe)
    clips = ClipSet(samples(3), ("c0", "c1", "c2"), transform, MemoryStore(), settings)
    plain = MemoryStore().load(samples(3)[0], transform).pixels
    shown = clips[0].pixels
    np.testing.assert_array_equal(shown[..., :3], plain[..., :3])  # the picture itself is mirrored with the batch
    moved = plain[..., 3] > 0
    np.testing.assert_array_equal(shown[..., 3][moved].astype(int), 256 - plain[..., 3][moved].astype(int))
    np.testing.assert_array_equal(shown[..., 4], plain[..., 4])


def gesta_transform_of(result):
    return io.read(result.bundle, ClipManifest).manifest.transform


def gesta_transform(recipe):
    from gesta.tasks.clips.facts import transform_for

    return transform_for(recipe, samples(3))


def test_recipes_say_what_fusion_needs() -> None:
    with pytest.raises(RecipeError, match="end with flow"):
        tiny("auto", *ST, "model.fusion=score", "input.channels=[flow, gray]")
    with pytest.raises(RecipeError, match="stack is for c3d, i3d, st_resnet18, st_resnet50, not for cnn3d_lstm"):
        tiny("auto", "model.stack=3")
    assert not {"stack", "fusion", "weights"} & set(tiny("auto").model_dump(mode="json")["model"])
