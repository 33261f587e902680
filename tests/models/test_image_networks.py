"""The networks for images: the document's exact sizes, and the battery that every network passes."""

from __future__ import annotations

import checks
import pytest
import torch

from gesta.models.catalog import IMAGE_MODELS, build_image


def images(batch: int = 4, seed: int = 0) -> torch.Tensor:
    """uint8 [B, 3, 32, 32]; image i is bright in another stripe."""
    return checks.clips(batch, frames=1, streams=1, channels=3, seed=seed)[:, 0, :, 0]


def fresh(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_image(name, classes=checks.CLASSES)


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [
        ("vgg", 10, 14_990_922),
        ("vgg", 100, 15_037_092),
        ("nin", 10, 1_004_042),
        ("nin", 100, 1_021_412),
        ("resnet_cifar", 10, 488_474),
        ("resnet_cifar", 100, 494_324),
    ],
)
def test_parameter_counts_of_the_spec(name: str, classes: int, parameters: int) -> None:
    with torch.device("meta"):
        network = build_image(name, classes=classes)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("name", IMAGE_MODELS)
class TestBattery:
    def test_shapes(self, name: str) -> None:
        checks.check_shapes(fresh(name), images())

    def test_gradients(self, name: str) -> None:
        checks.check_gradients(fresh(name), images())

    def test_saves(self, name: str, tmp_path) -> None:
        network = fresh(name)
        network.train()(images())
        checks.check_saves(network, fresh(name), images(), tmp_path)

    @pytest.mark.slow
    def test_overfits(self, name: str) -> None:
        checks.check_overfits(fresh(name), images(6), learning_rate=1e-3)

    def test_batch_independence(self, name: str) -> None:
        network = fresh(name)
        network.train()(images())
        checks.check_independence(network, images(seed=1))


def test_unknown_network_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"resnet_cifar, nin, vgg\. vgg\?"):
        build_image("vggg", classes=2)
