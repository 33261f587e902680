"""The networks for images: the document's exact sizes, and the battery that every network passes."""

from __future__ import annotations

import checks
import numpy as np
import pytest
import torch
from torch import nn

from gesta.models.catalog import IMAGE_MODELS, build_image, image_network_of
from gesta.models.weights import WeightsError


def images(batch: int = 4, seed: int = 0) -> torch.Tensor:
    """uint8 [B, 3, 32, 32]; image i is bright in another stripe."""
    return checks.clips(batch, frames=1, streams=1, channels=3, seed=seed)[:, 0, :, 0]


def fresh(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_image(name, classes=checks.CLASSES)


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [
        ("vgg", 10, 14_991_946),
        ("vgg", 100, 15_038_116),
        ("nin", 10, 1_005_642),
        ("nin", 100, 1_023_012),
        ("resnet_cifar", 10, 489_594),
        ("resnet_cifar", 100, 495_444),
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


FORMER = {
    "nin": [-0.5605, 0.4723, -1.1946, -1.5822],
    "vgg": [0.6794, 9.2418, -0.0916, 2.6637],
    "resnet_cifar": [1089.1165, -381.2355, 979.2863, 960.9172],
}
"""What commit 2895dc4's networks gave with the weights of `filled`."""


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Plausible weights by name, the same on every machine."""
    generator, found = np.random.default_rng(3), {}
    for name in sorted(shapes):
        shape = shapes[name]
        if name.endswith("num_batches_tracked"):
            value: np.ndarray = np.array(1, dtype=np.int64)
        elif len(shape) > 1:
            value = generator.standard_normal(shape, np.float32) * np.float32((2 / np.prod(shape[1:])) ** 0.5)
        elif name.endswith(("running_var", "norm.weight")) or (name.endswith("weight") and len(shape) == 1):
            value = generator.uniform(0.5, 1.5, shape).astype(np.float32)
        else:
            value = generator.standard_normal(shape, np.float32) * np.float32(0.1)
        found[name] = torch.from_numpy(np.asarray(value))
    return found


@pytest.mark.parametrize("name", FORMER)
def test_weights_from_before_batch_normalization_everywhere(name: str) -> None:
    plain = build_image(name, classes=4, normalization=False)
    tensors = filled({key: tuple(tensor.shape) for key, tensor in plain.state_dict().items()})
    network = image_network_of(name, tensors, "old.safetensors").eval()
    image = torch.from_numpy(np.random.default_rng(4).integers(0, 256, (1, 3, 32, 32), dtype=np.uint8))
    with torch.no_grad():
        torch.testing.assert_close(network(image)[0], torch.tensor(FORMER[name]), rtol=1e-4, atol=1e-3)
    newer = build_image(name, classes=4).state_dict()
    assert len(newer) > len(tensors) and image_network_of(name, newer, "new").state_dict().keys() == newer.keys()
    with pytest.raises(WeightsError, match=r"old\.safetensors: does not fit the network \(1 tensors\)"):
        image_network_of(name, dict(list(tensors.items())[1:]), "old.safetensors")


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_every_convolution_and_hidden_layer_is_normalized(name: str) -> None:
    """Scaling a layer's weights by ten changes nothing behind a batch normalization."""
    network = fresh(name).train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        before = network(images())
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module is not network.classifier:
                module.weight.mul_(10)
        torch.testing.assert_close(network(images()), before, rtol=1e-2, atol=1e-2)


def test_unknown_network_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"resnet_cifar, nin, vgg\. Did you mean vgg\?"):
        build_image("vggg", classes=2)
