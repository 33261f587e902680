"""The image networks: names, shapes and counts of the published files; loading is strict and names every mismatch."""

from __future__ import annotations

import checks
import pytest
import safetensors.torch
import torch
from torch import nn

from gesta.models import weights
from gesta.models.catalog import BACKBONES, build_backbone, load_backbone
from gesta.models.weights import WeightsError, fetch, fingerprint, load_weights

COUNTS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "inception_v1": 13_004_888,
    "inception_v3": 27_161_264,
}
TENSORS = {"resnet18": 122, "resnet34": 218, "resnet50": 320, "inception_v1": 364, "inception_v3": 580}
SIZE = {"inception_v3": 80}
WIDTH = 1 / 16
SHAPES = {
    "resnet18": {
        "conv1.weight": (64, 3, 7, 7),
        "layer1.0.conv1.weight": (64, 64, 3, 3),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1),
        "layer4.1.bn2.running_var": (512,),
        "fc.weight": (1000, 512),
    },
    "resnet50": {
        "layer1.0.downsample.1.bias": (256,),
        "layer3.5.conv2.weight": (256, 256, 3, 3),
        "layer4.2.conv3.weight": (2048, 512, 1, 1),
        "fc.weight": (1000, 2048),
    },
    "inception_v1": {
        "conv1.conv.weight": (64, 3, 7, 7),
        "conv3.bn.running_mean": (192,),
        "inception3a.branch3.1.conv.weight": (32, 16, 3, 3),
        "inception5b.branch4.1.conv.weight": (128, 832, 1, 1),
        "aux1.fc1.weight": (1024, 2048),
        "aux2.fc2.weight": (1000, 1024),
        "fc.weight": (1000, 1024),
    },
    "inception_v3": {
        "Conv2d_4a_3x3.conv.weight": (192, 80, 3, 3),
        "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_6a.branch3x3dbl_3.bn.weight": (96,),
        "Mixed_6c.branch7x7dbl_4.conv.weight": (160, 160, 7, 1),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
        "AuxLogits.conv1.conv.weight": (768, 128, 5, 5),
        "fc.bias": (1000,),
    },
}


def published(name: str) -> nn.Module:
    heads = {"auxiliary": True} if name.startswith("inception") else {}
    with torch.device("meta"):
        return build_backbone(name, **heads)


def small(name: str, seed: int = 0, **settings) -> nn.Module:
    torch.manual_seed(seed)
    return build_backbone(name, classes=checks.CLASSES, width=WIDTH, dropout=0.0, **settings)


def images(name: str, batch: int = 3) -> torch.Tensor:
    size = SIZE.get(name, 64)
    return checks.clips(batch, frames=1, streams=1, channels=3, size=size)[:, 0, :, 0]


@pytest.mark.parametrize("name", BACKBONES)
class TestPublished:
    def test_counts(self, name: str) -> None:
        network = published(name)
        assert sum(p.numel() for p in network.parameters()) == COUNTS[name]
        assert len(network.state_dict()) == TENSORS[name]

    def test_names_and_shapes(self, name: str) -> None:
        state = published(name).state_dict()
        for tensor, shape in SHAPES.get(name, {}).items():
            assert tuple(state[tensor].shape) == shape, tensor


@pytest.mark.parametrize("name", BACKBONES)
class TestBattery:
    def test_shapes(self, name: str) -> None:
        checks.check_shapes(small(name), images(name))

    def test_stages_have_the_channels_they_state(self, name: str) -> None:
        network = small(name).eval()
        with torch.no_grad():
            for stage, channels in network.stages.items():
                assert network.forward_maps(images(name, 1), stage).shape[1] == channels
        with pytest.raises(ValueError, match=f"no stage 'layer9'; there are {next(iter(network.stages))}"):
            network.forward_maps(images(name, 1), "layer9")

    def test_gradients(self, name: str) -> None:
        checks.check_gradients(small(name), images(name, 4))

    def test_batch_independence(self, name: str) -> None:
        network = small(name)
        network.train()(images(name))
        checks.check_independence(network, images(name))

    def test_other_channels(self, name: str) -> None:
        assert small(name, channels=2).eval()(images(name)[:, :2]).shape == (3, checks.CLASSES)


class TestLoading:
    @pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
    def test_file_gives_the_same_network(self, suffix: str, tmp_path, monkeypatch) -> None:
        monkeypatch.setitem(BACKBONES, "inception_v1", lambda **s: small_v1(**s))
        network = small("inception_v1", auxiliary=True)
        network(images("inception_v1"))
        state, path = network.state_dict(), tmp_path / f"net{suffix}"
        torch.save(state, path) if suffix == ".pth" else safetensors.torch.save_file(state, path)
        loaded = load_backbone("inception_v1", path)  # without the auxiliary heads, and with the file's classes
        assert loaded.fc.out_features == checks.CLASSES
        with torch.no_grad():
            torch.testing.assert_close(loaded.eval()(images("inception_v1")), network.eval()(images("inception_v1")))
        assert fingerprint(loaded) != fingerprint(small("inception_v1", seed=1))

    def test_every_mismatch_is_listed_at_once(self, tmp_path) -> None:
        network = small("resnet18")
        state = dict(network.state_dict())
        del state["layer1.0.conv1.weight"], state["bn1.num_batches_tracked"]
        state["surplus.weight"] = torch.zeros(2, 3)
        state["fc.bias"] = torch.zeros(7)
        torch.save(state, tmp_path / "w.pth")
        before = fingerprint(network)
        with pytest.raises(WeightsError) as caught:
            load_weights(network, tmp_path / "w.pth")
        message = str(caught.value)
        assert "w.pth" in message and "(3 tensors)" in message
        assert "missing    layer1.0.conv1.weight 4 x 4 x 3 x 3" in message
        assert "extra      surplus.weight 2 x 3" in message
        assert "misshaped  fc.bias: 7 in the file, 3 in the network" in message
        assert fingerprint(network) == before

    def test_what_is_no_weights_file(self, tmp_path) -> None:
        with pytest.raises(WeightsError, match="no such weights file"):
            load_weights(small("resnet18"), tmp_path / "none.pth")
        for name in ("text.pth", "text.safetensors"):
            (tmp_path / name).write_bytes(b"no weights at all")
            with pytest.raises(WeightsError, match=f"{name}: is no weights file"):
                load_weights(small("resnet18"), tmp_path / name)
        torch.save({"model": {"fc.weight": torch.zeros(1)}}, tmp_path / "checkpoint.pth")
        with pytest.raises(WeightsError, match="not a checkpoint"):
            load_weights(small("resnet18"), tmp_path / "checkpoint.pth")

    def test_pickles_that_do_things_are_refused(self, tmp_path) -> None:
        torch.save({"w": pathological}, tmp_path / "bad.pth")
        with pytest.raises(WeightsError, match="no weights file"):
            load_weights(small("resnet18"), tmp_path / "bad.pth")

    def test_official_file_that_cannot_be_had(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setitem(weights.OFFICIAL, "resnet18", (tmp_path / "resnet18-00000000.pth").as_uri())
        with pytest.raises(WeightsError, match="--weights FILE"):
            fetch("resnet18", tmp_path / "kept")
        with pytest.raises(WeightsError, match="no official file for c3d"):
            fetch("c3d", tmp_path)


def pathological() -> None:
    """A function: a pickle that names it would import code."""


def small_v1(**settings) -> nn.Module:
    from gesta.models.inception_v1 import InceptionV1

    return InceptionV1(**{**settings, "width": WIDTH})


def test_unknown_backbone_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"there are resnet18, .*resnet50\?"):
        build_backbone("resnet_50")
