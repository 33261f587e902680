"""C3D and I3D: counts and names of the published files, and what inflation promises."""

from __future__ import annotations

import checks
import pytest
import torch
from torch import nn

from gesta.models.c3d import C3d, load_c3d
from gesta.models.i3d import I3d, inflated, load_i3d, same
from gesta.models.inception_v1 import InceptionV1
from gesta.models.weights import WeightsError

WIDTH = 1 / 16


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def clips(batch: int = 3, frames: int = 16, size: int = 32) -> torch.Tensor:
    return checks.clips(batch, frames=frames, streams=1, channels=3, size=size)


def c3d(**settings) -> C3d:
    torch.manual_seed(0)
    return C3d(**{"classes": checks.CLASSES, "size": 32, "width": WIDTH, "dropout": 0.0, **settings})


def i3d(**settings) -> I3d:
    torch.manual_seed(0)
    return I3d(**{"classes": checks.CLASSES, "width": WIDTH, "dropout": 0.0, **settings})


NETWORKS = {"c3d": c3d, "i3d": i3d}


@pytest.mark.parametrize("name", NETWORKS)
class TestBattery:
    def test_shapes(self, name: str) -> None:
        checks.check_shapes(NETWORKS[name](), clips())

    def test_gradients(self, name: str) -> None:
        checks.check_gradients(NETWORKS[name](), clips())

    def test_batch_independence(self, name: str) -> None:
        network = NETWORKS[name]()
        network.train()(clips())
        checks.check_independence(network, clips())


def test_counts_and_names_of_c3d() -> None:
    with torch.device("meta"):
        network = C3d(classes=101)
    assert parameters(network) == 78_409_573
    state = network.state_dict()
    assert [name for name in state if name.endswith("weight")] == [
        f"{name}.weight"
        for name in ["conv1", "conv2", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b", "fc6", "fc7", "fc8"]
    ]
    assert state["fc6.weight"].shape == (4096, 8192)


def test_fc6_is_what_fc7_sees() -> None:
    network = c3d().eval()
    with torch.no_grad():
        fc6 = network.forward_features(clips(), stage="fc6")
        assert fc6.min() >= 0
        torch.testing.assert_close(network.fc7(fc6).relu(), network.forward_features(clips()))


def test_c3d_too_small_says_what_it_takes() -> None:
    with pytest.raises(ValueError, match="8 frames of 32 pixels are too small"):
        c3d(window=8)


def test_counts_and_names_of_i3d() -> None:
    with torch.device("meta"):
        network = I3d(classes=400)
    assert parameters(network) == 12_697_264
    assert parameters(network) - parameters(network.logits) == 12_287_264
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert len(shapes) == 344
    assert shapes["Conv3d_1a_7x7.conv3d.weight"] == (64, 3, 7, 7, 7)
    assert shapes["Mixed_3b.b1b.conv3d.weight"] == (128, 96, 3, 3, 3)
    assert shapes["Mixed_5c.b3b.bn.running_mean"] == (128,)
    assert shapes["logits.conv3d.weight"] == (400, 1024, 1, 1, 1)


@pytest.mark.parametrize(
    ("length", "kernel", "stride"), [(224, 7, 2), (15, 7, 2), (7, 3, 2), (8, 3, 2), (4, 2, 2), (5, 3, 1)]
)
def test_same_padding(length: int, kernel: int, stride: int) -> None:
    before, behind = same(length, kernel, stride)
    assert (length + before + behind - kernel) // stride + 1 == -(-length // stride)
    assert 0 <= behind - before <= 1


def image_network() -> InceptionV1:
    """Random weights and batch statistics, as after a training."""
    torch.manual_seed(1)
    network = InceptionV1(classes=5, width=WIDTH * 2, dropout=0.0, auxiliary=True)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize(("frames", "size"), [(16, 64), (11, 80)])
def test_a_repeated_image_gives_the_2d_output_after_inflation(frames: int, size: int) -> None:
    flat = image_network()
    network = inflated(flat, width=WIDTH * 2).eval()
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (2, 3, size, size), generator=generator).float()
    clip = images[:, None, :, None].expand(-1, -1, -1, frames, -1, -1)  # B 1 C T H W
    with torch.no_grad():
        expected = flat(images)
        assert expected.std() > 0.01
        torch.testing.assert_close(network(clip), expected, rtol=0, atol=1e-4)
        moving = torch.cat([clip[:, :, :, : frames // 2], clip.flip(0)[:, :, :, frames // 2 :]], 3)
        assert (network(moving) - expected).abs().max() > 1e-3


def test_published_names_load_strictly(tmp_path) -> None:
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in I3d(classes=400).state_dict().items()}
    tensors = {name: torch.zeros(shape) for name, shape in shapes.items() if "num_batches" not in name}
    torch.save(tensors, tmp_path / "rgb_imagenet.pt")
    assert load_i3d(tmp_path / "rgb_imagenet.pt").logits.conv3d.out_channels == 400
    del tensors["Mixed_4f.b2b.bn.bias"]
    torch.save(tensors, tmp_path / "rgb_imagenet.pt")
    with pytest.raises(WeightsError, match=r"missing    Mixed_4f\.b2b\.bn\.bias 128"):
        load_i3d(tmp_path / "rgb_imagenet.pt")


def test_published_c3d_has_blue_first(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("gesta.models.c3d.C3d", lambda **s: c3d(**s))
    tensors = c3d().state_dict()
    torch.save(tensors, tmp_path / "c3d.pickle")
    network = load_c3d(tmp_path / "c3d.pickle")
    assert network.fc8.out_features == checks.CLASSES
    torch.testing.assert_close(network.conv1.weight[:, 0], tensors["conv1.weight"][:, 2])
