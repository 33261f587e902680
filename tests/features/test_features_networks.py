"""Backbones as extractors: both engines agree, names and weights that do not fit are said, the command end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from features.numbered_videos import several

from gesta.models.c3d import C3d
from gesta.models.catalog import build_backbone
from gesta.models.i3d import I3d
from gesta.schema import GestaError
from gesta.tasks.feature_store import FeatureFolder
from gesta.tasks.features.backbones import Extractor, FrameFeatures, WindowFeatures, extractor
from gesta.tasks.features.engines import ENGINES, engine_for


def small(stage: str, pooled: bool) -> Extractor:
    torch.manual_seed(0)
    network = build_backbone("resnet18", classes=3, width=1 / 16).eval()
    return Extractor("resnet18", FrameFeatures(network, stage, pooled).eval(), "0", stage, 32, 1, pooled)


def small_c3d() -> Extractor:
    torch.manual_seed(0)
    network = C3d(classes=3, width=1 / 32, size=32).eval()
    return Extractor("c3d", WindowFeatures(network, "fc6").eval(), "0", "fc6", 32, 16, True)


@pytest.mark.parametrize(("stage", "pooled", "shape"), [("layer4", True, (32,)), ("layer2", False, (8, 4, 4))])
def test_engines_agree_on_any_batch(stage: str, pooled: bool, shape: tuple[int, ...]) -> None:
    ready = small(stage, pooled)
    engines = {name: ENGINES[name](ready, "cpu", 1) for name in ENGINES}
    for count in (1, 3):
        frames = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        expected = engines["torch"](frames)
        assert expected.shape == (count, *shape) and expected.dtype == np.float32 and expected.std() > 0
        np.testing.assert_allclose(engines["openvino"](frames), expected, rtol=1e-3, atol=1e-4)


def test_windows_of_a_video_network() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 16, 32, 32, 3), dtype=np.uint8)
    expected = engine_for("torch", small_c3d(), "cpu")[1](frames)
    assert expected.shape == (2, 128)
    np.testing.assert_allclose(engine_for(None, small_c3d(), "cpu")[1](frames), expected, rtol=1e-3, atol=1e-4)


def test_random_weights_follow_from_their_seed() -> None:
    prints = [extractor("resnet18", weights).weights for weights in ("random", "random:0", "random:1")]
    assert prints[0] == prints[1] != prints[2]


class TestMessages:
    @pytest.mark.parametrize(
        ("arguments", "settings", "message"),
        [
            (("resnet_18",), {}, r"unknown backbone 'resnet_18'; choose from .*c3d, i3d\. Did you mean resnet18\?"),
            (("resnet18", "random"), {"stage": "block2"}, "no stage 'block2'; choose from layer1, layer2"),
            (("resnet18", "random:x"), {}, "expected random or random:SEED"),
            (("resnet18", "random:²"), {}, "expected random or random:SEED"),
            (("i3d", "random"), {"pooled": False}, "feature maps need an image network"),
        ],
    )
    def test_wrong_usage(self, arguments: tuple[str, ...], settings: dict, message: str) -> None:
        with pytest.raises(GestaError, match=message) as caught:
            extractor(*arguments, **settings)
        assert caught.value.usage

    def test_weights_that_do_not_fit(self, tmp_path: Path) -> None:
        torch.save({"fc.weight": torch.zeros(5, 512)}, tmp_path / "w.pth")
        with pytest.raises(GestaError, match=r"w\.pth: does not fit the network \(101 tensors\)"):
            extractor("resnet18", str(tmp_path / "w.pth"))

    @pytest.mark.parametrize(
        ("name", "tensor", "shape", "message"),
        [
            ("resnet18", "fc.weight", (), r"misshaped  fc\.weight: scalar in the file, 1000 x 512 in the network"),
            ("c3d", "conv1.weight", (64,), r"misshaped  conv1\.weight: 64 in the file"),
            ("i3d", "Conv3d_1a_7x7.conv3d.weight", (64,), r"misshaped  Conv3d_1a_7x7\.conv3d\.weight: 64 in the file"),
        ],
    )
    def test_tensors_with_too_few_dimensions(
        self, name: str, tensor: str, shape: tuple[int, ...], message: str, tmp_path: Path
    ) -> None:
        torch.save({tensor: torch.zeros(shape)}, tmp_path / "w.pth")
        with torch.device("meta"), pytest.raises(GestaError, match=message):
            extractor(name, str(tmp_path / "w.pth"))

    def test_weights_for_optical_flow(self, tmp_path: Path) -> None:
        with torch.device("meta"):
            shapes = {key: tensor.shape for key, tensor in I3d(classes=400, channels=2).state_dict().items()}
        torch.save({key: torch.zeros(shape) for key, shape in shapes.items()}, tmp_path / "flow.pt")
        with pytest.raises(GestaError, match=r"flow\.pt: is for 2 input channels .* Give the RGB file"):
            extractor("i3d", str(tmp_path / "flow.pt"))

    @pytest.mark.parametrize(("stage", "least"), [("Mixed_7c", 75), ("Mixed_6e", 43)])
    def test_too_few_pixels(self, stage: str, least: int) -> None:
        with pytest.raises(
            GestaError, match=f"too few for inception_v3 up to {stage}: give --size {least} or"
        ) as caught:
            extractor("inception_v3", "random", stage=stage, size=32)
        assert caught.value.usage

    def test_engines(self) -> None:
        with pytest.raises(GestaError, match="unknown engine 'tensorflow'; for features, choose from torch, openvino"):
            engine_for("tensorflow", small("layer4", True), "cpu")
        with pytest.raises(GestaError, match="openvino computes on the CPU, not on cuda"):
            engine_for("openvino", small("layer4", True), "cuda")


def gesta(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "gesta"), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=600, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


@pytest.mark.slow
def test_command_with_one_process_and_with_two(tmp_path: Path) -> None:
    several(tmp_path / "data" / "a")
    several(tmp_path / "data" / "b")
    settings = ("--backbone", "resnet18", "--weights", "random", "--size", 32, "--frames", 3, "--json")
    one = gesta("features", tmp_path / "data", "--out", tmp_path / "one", *settings)
    assert one.returncode == 0, one.stderr
    document = json.loads(one.stdout)
    assert document["videos"] == document["computed"] == 10 and document["features"] == 30
    again = gesta("features", tmp_path / "data", "--out", tmp_path / "one", *settings)
    assert json.loads(again.stdout)["kept"] == 10
    two = gesta("features", tmp_path / "data", "--out", tmp_path / "two", *settings, "--devices", 2, "--device", "cpu")
    assert two.returncode == 0, two.stderr
    assert json.loads(two.stdout)["computed"] == 10
    assert not [line for line in two.stderr.splitlines() if "GPU" in line or "distributed" in line], two.stderr
    assert {path.name[:10] for path in (tmp_path / "two").glob("shard-*")} == {"shard-0000", "shard-0001"}
    first, second = FeatureFolder(tmp_path / "one"), FeatureFolder(tmp_path / "two")
    assert [e.id for e in first.entries] == [e.id for e in second.entries]
    for entry in first.entries:
        np.testing.assert_allclose(first.load(entry.id), second.load(entry.id), rtol=1e-4, atol=1e-5)
    wrong = gesta("features", tmp_path / "data", "--out", tmp_path / "x", "--frames", 3, "--every", 2)
    assert wrong.returncode == 2 and "exclude each other" in wrong.stderr
