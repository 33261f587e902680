"""The image networks: names, shapes and counts of the published files; loading is strict and names every mismatch."""

from __future__ import annotations

import hashlib
import random

import checks
import pytest
import safetensors.torch
import torch
from torch import nn

from gesta.models import weights
from gesta.models.catalog import BACKBONES, build_backbone, load_backbone
from gesta.models.weights import WeightsError, fetch, fingerprint, load_weights, read_tensors

COUNTS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "inception_v1": 13_004_888,
    "inception_v3": 27_161_264,
    "efficientnet_lite0": 4_652_008,
}
TENSORS = {
    "resnet18": 122,
    "resnet34": 218,
    "resnet50": 320,
    "inception_v1": 364,
    "inception_v3": 580,
    "efficientnet_lite0": 296,
}
SIZE = {"inception_v3": 80}
WIDTH = 1 / 16
NAMES_AND_SHAPES = {
    "resnet18": "5191d63ec398959223d67ef37376f9061e6965b859fc2d4e40e23d037147a0d7",
    "resnet34": "f8de2a1812ef85e46b3f60c61589921afee0c2a6d4165e27508ad215f101671b",
    "resnet50": "a87e91cd6bd1f939e0b723852e567a7205d33b0ac984ac02dd1a5f225d37c036",
    "inception_v1": "de3745733576b3b1a65be26aef551602f1147352b1e78f96d2acb50a7d1a29e3",
    "inception_v3": "4c9e13f64584de741d008cd24d3aae249cd3871df374ba3da192ffb031ba7376",
    "efficientnet_lite0": "0b18461bb492eafe1308509488bd85db6e654990bf17244c8764893b3b128d16",
}
"""sha256 over the lines "name shape" in sorted order."""


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
        lines = sorted(f"{key} {tuple(tensor.shape)}" for key, tensor in published(name).state_dict().items())
        assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == NAMES_AND_SHAPES[name]


@pytest.mark.parametrize("name", BACKBONES)
class TestBattery:
    def test_shapes(self, name: str) -> None:
        checks.check_shapes(small(name), images(name))

    def test_stages_have_the_channels_they_state(self, name: str) -> None:
        network = small(name).eval()
        with torch.no_grad():
            for stage, channels in network.stages.items():
                assert network.forward_maps(images(name, 1), stage).shape[1] == channels
        with pytest.raises(ValueError, match=f"no stage 'layer9'; choose from {next(iter(network.stages))}"):
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
            with pytest.raises(WeightsError, match=f"{name}: is not a readable weights file"):
                load_weights(small("resnet18"), tmp_path / name)
        for held in ({"model": {"fc.weight": torch.zeros(1)}}, {1: torch.zeros(1)}):
            torch.save(held, tmp_path / "checkpoint.pth")
            with pytest.raises(WeightsError, match="not a checkpoint"):
                load_weights(small("resnet18"), tmp_path / "checkpoint.pth")

    @pytest.mark.parametrize(
        ("held", "reason"),
        [
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer, .* git lfs pull"),
            (b"\n<!DOCTYPE html><html>", "a web page: download the file itself"),
            (b"404: Not Found", "text: '404: Not Found'"),
            (b"", "not a PyTorch file of tensors, is damaged"),
            (b"\x80\x02\x00\xff", "not a PyTorch file of tensors, is damaged"),
        ],
    )
    def test_what_was_saved_in_the_place_of_weights(self, held: bytes, reason: str, tmp_path) -> None:
        (tmp_path / "w.pth").write_bytes(held)
        with pytest.raises(WeightsError, match=f"w.pth: is not a readable weights file .it is {reason}") as caught:
            read_tensors(tmp_path / "w.pth")
        assert "weights_only" not in str(caught.value)

    @pytest.mark.filterwarnings("ignore:Detected pickle protocol")
    @pytest.mark.parametrize("zipped", [True, False])
    def test_damaged_files_never_end_in_another_error(self, zipped: bool, tmp_path) -> None:
        path, rng, refused = tmp_path / "w.pth", random.Random(1), 0
        torch.save(nn.Linear(3, 2).state_dict(), path, _use_new_zipfile_serialization=zipped)
        whole = path.read_bytes()
        for _ in range(100):
            damaged = bytearray(whole)
            for place in rng.sample(range(len(whole)), 4):
                damaged[place] = rng.randrange(256)
            path.write_bytes(damaged)
            try:
                read_tensors(path)  # a change of a number is none that is seen here
            except WeightsError:
                refused += 1
        assert refused > 50

    def test_pickles_that_do_things_are_refused(self, tmp_path) -> None:
        torch.save({"w": pathological}, tmp_path / "bad.pth")
        with pytest.raises(WeightsError, match="not a readable weights file"):
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
    with pytest.raises(ValueError, match=r"choose from resnet18, .*resnet50\?"):
        build_backbone("resnet_50")
