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


def test_each_stream_is_trained_by_itself_before_they_are_fused(tmp_path: Path) -> None:
    found = {}
    for way in ("score", "feature"):
        recipe = tiny("auto", *ST[:-1], f"model.fusion={way}", "training.epochs=2", "training.validation=true")
        given = {"layout": "memory", "device": "cpu", "progress": False, "cache": MemoryStore()}
        clips = [replace(s, split="val" if n >= 8 else "train") for n, s in enumerate(samples(12))]
        result = fit(clips, recipe, tmp_path / way, **given)
        again = fit(clips, recipe, tmp_path / way, resume=True, **given)
        network = load_network(io.read(result.bundle, ClipManifest))
        found[way] = network.state_dict()
        torch.testing.assert_close(load_network(io.read(again.bundle, ClipManifest)).state_dict(), found[way])
        stages = ["appearance"] * 2 + ["motion"] * 2
        for row, stage in zip(result.history, stages, strict=False):
            assert {f"{stage}_train_loss", f"{stage}_val_accuracy"} <= set(row)
        assert [("train_loss" in row, "val_loss" in row) for row in result.history[4:]] == (
            [(False, True)] if way == "score" else [(True, True)] * 2
        )
        assert result.metrics["val_accuracy"] in [row["val_accuracy"] for row in result.history[4:]]
        assert {f"{name}.png" for name in ("appearance", "motion")} <= {p.name for p in (tmp_path / way).iterdir()}
    same = [
        torch.equal(found["score"][k], v)
        for k, v in found["feature"].items()
        if ".linear." not in k and ".fc." not in k
    ]
    assert all(same) and len(same) > 20
    assert any(not torch.equal(found["score"][k], v) for k, v in found["feature"].items())


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


def gesta_transform(recipe):
    from gesta.tasks.clips.facts import transform_for

    return transform_for(recipe, samples(3))


def test_recipes_say_what_fusion_needs() -> None:
    with pytest.raises(RecipeError, match="end with flow"):
        tiny("auto", *ST, "model.fusion=score", "input.channels=[flow, gray]")
    with pytest.raises(RecipeError, match="stack is for c3d, i3d, st_resnet18, st_resnet50, not for cnn3d_lstm"):
        tiny("auto", "model.stack=3")
    assert not {"stack", "fusion", "weights"} & set(tiny("auto").model_dump(mode="json")["model"])
