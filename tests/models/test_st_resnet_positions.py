"""How positions are counted, and that bundles from before the count was corrected answer as they did.

The bundles in fixtures/ were written by commit 2895dc4 (untrained networks of some thousand parameters, random batch
statistics), and so were the answers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import gesta
from gesta.models.resnet import ResNet
from gesta.models.st_resnet import Connection, StResNet, layer_names
from gesta.recipes import positions
from gesta.tasks.catalog import load_recipe, read_bundle

FIXTURES = Path(__file__).parent / "fixtures"
ANSWERS = {
    "st_resnet50": [
        [0.573756, 0.116875, 0.172513, 0.136856],
        [0.362401, 0.403395, 0.080725, 0.153478],
        [0.200971, 0.635132, 0.042046, 0.121851],
    ],
    "st_resnet18": [
        [0.221022, 0.157184, 0.432454, 0.18934],
        [0.091453, 0.289557, 0.278558, 0.340433],
        [0.119312, 0.113786, 0.656294, 0.110608],
    ],
    "st_resnet50_names": [
        [0.32928, 0.265271, 0.270818, 0.134631],
        [0.24262, 0.190451, 0.503922, 0.063007],
        [0.394829, 0.317976, 0.071331, 0.215864],
    ],
}
LEADS = {
    "st_resnet50": "layer1.0.bn2-layer1.1.bn1,layer3.0.bn1-layer3.0.downsample.1,layer4.0.conv1-layer4.0.downsample.0",
    "st_resnet18": "layer2.0.conv1-layer2.0.downsample.0,layer4.0.bn2-layer4.1.bn2",
    "st_resnet50_names": "layer3.0.bn1-layer3.0.downsample.1",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_bundles_of_the_former_count_answer_as_before(name: str) -> None:
    path = FIXTURES / f"2895dc4_{name}.zip"
    model = gesta.load(path, engine="torch")
    clips = [np.random.default_rng(seed).integers(0, 256, (8, 1, 32, 32, 2), dtype=np.uint8) for seed in range(3)]
    found = [list(model.predict(clip).probabilities.values()) for clip in clips]
    np.testing.assert_allclose(found, ANSWERS[name], atol=1e-5)
    assert read_bundle(path).manifest.recipe["model"]["context"] == LEADS[name]


@pytest.mark.parametrize("depth", [18, 50])
def test_numbers_without_a_network_are_the_networks(depth: int) -> None:
    with torch.device("meta"):
        network = ResNet(depth, classes=2)
    assert positions.layer_names(f"st_resnet{depth}") == layer_names(network)
    blocks = {name.rpartition(".downsample")[0] for name in layer_names(network) if "downsample" in name}
    assert positions.layer_names(f"st_resnet{depth}", projection_last=True) == layer_names(network, blocks)


@pytest.mark.parametrize(
    ("context", "named"),
    [
        ("49-55", "layer3.0.downsample.1-layer3.0.bn3"),
        ("5 - 11, 98-104", "layer1.0.bn1-layer1.1.bn1,layer4.1.conv3-layer4.2.conv3"),
        ("layer4.0.bn2-105", "layer4.0.bn2-layer4.2.bn3"),
        ("3", "3"),
        ("special3", "special3"),
        ("98-106", "layer4.1.conv3-106"),  # refused where the network is built, with the list
    ],
)
def test_a_recipe_holds_names(context: str, named: str) -> None:
    recipe = load_recipe("iqbal/st-resnet", [f"model.context={context}"])
    assert recipe.model.context == named


def test_connections_between_the_branches_of_a_block() -> None:
    def made(*pairs: tuple[str, str]) -> StResNet:
        torch.manual_seed(0)
        return StResNet(ResNet(18, classes=3, width=1 / 16), [Connection(*pair, "linear") for pair in pairs])

    to_residual = ("layer2.0.downsample.0", "layer2.0.conv2")
    to_projection = ("layer2.0.conv1", "layer2.0.downsample.1")
    for pair in (to_residual, to_projection):
        network = made(pair).eval()
        frames = torch.rand(1, 3, 3, 32, 32, requires_grad=True) * 255
        frames.retain_grad()
        network.forward_frames(frames)[0, -1].sum().backward()
        assert (frames.grad[0].abs().amax((1, 2, 3)) > 0).tolist() == [False, True, True]
    with pytest.raises(ValueError, match=r"layer2\.0\.downsample\.0 is not before layer2\.0\.conv2"):
        made(to_residual, to_projection)  # one of the branches is computed first
