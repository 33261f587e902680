"""Spatio-temporal ResNet: what a connection brings, on how many frames an answer depends, and that sharing is exact."""

from __future__ import annotations

import checks
import pytest
import torch
from torch import nn

from gesta.models.resnet import ResNet
from gesta.models.st_resnet import (
    CONTEXTS,
    POSITIONS,
    Connection,
    StResNet,
    connections_for,
    layer_names,
    lengths_of,
    st_resnet,
)

WIDTH = 1 / 16
FRAMES = {"1": 1, "2": 2, "3": 3, "special3": 3, "5": 5}


def small(context: str = "2", depth: int = 18, seed: int = 0, **settings) -> StResNet:
    torch.manual_seed(seed)
    settings = {"classes": checks.CLASSES, "window": 6, "width": WIDTH, "context": context} | settings
    return st_resnet(depth, **settings)


def with_statistics(network: nn.Module) -> nn.Module:
    """Random batch statistics, as after a training."""
    generator = torch.Generator().manual_seed(3)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_mean"):
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
        elif name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return network.eval()


def clips(batch: int = 2, frames: int = 6) -> torch.Tensor:
    return checks.clips(batch, frames=frames, streams=1, channels=3, size=32)


class TestBattery:
    @pytest.mark.parametrize("overlap", [False, True])
    def test_shapes(self, overlap: bool) -> None:
        network = small(overlap=overlap).eval()
        with torch.no_grad():
            logits = network(clips())
            assert logits.shape == (2, checks.CLASSES)
            torch.testing.assert_close(logits.exp().sum(1), torch.ones(2))
            torch.testing.assert_close(network(clips().float()), logits)
            network.reset_classifier(5)
            assert network(clips()).shape == (2, 5)

    @pytest.mark.parametrize("kind", ["identity", "linear", "nonlinear"])
    def test_gradients(self, kind: str) -> None:
        checks.check_gradients(small("3", kind=kind, seed=1), clips(4))

    def test_batch_independence(self) -> None:
        checks.check_independence(with_statistics(small("3", overlap=True)), clips(3))


def test_the_documents_numbers_are_these_layers() -> None:
    with torch.device("meta"):
        names = layer_names(ResNet(50, classes=101))
    assert len(names) == 106
    assert [names.index(name) for name in ("layer1.2.bn3", "layer2.3.bn3", "layer3.5.bn3", "layer4.2.bn3")] == [
        21,
        47,
        85,
        105,
    ]
    for document, pair in POSITIONS.items():
        assert [str(names.index(name)) for name in pair] == document.split("-")


@pytest.mark.parametrize("document", POSITIONS)
@pytest.mark.parametrize("kind", ["identity", "linear"])
def test_every_position_of_table_5_4_joins_equal_shapes(document: str, kind: str) -> None:
    with torch.device("meta"):
        network = small(document, depth=50, kind=kind, width=1.0)
    assert network.context == 2
    (connection,) = network.connections
    shapes: dict[str, tuple[int, ...]] = {}

    def run(name: str, layer: nn.Module, maps: torch.Tensor) -> torch.Tensor:
        maps = layer(maps)
        shapes[name] = tuple(maps.shape)
        return maps

    with torch.no_grad():
        network.network.eval().watched(torch.zeros(1, 3, 224, 224, device="meta"), run)
    shape = {"5-11": (64, 56), "49-55": (1024, 14), "86-92": (2048, 7), "98-104": (2048, 7)}[document]
    assert shapes[connection.source] == shapes[connection.target] == (1, shape[0], shape[1], shape[1])
    if kind == "linear":
        assert network.adapters[0].convolution.stride == (1, 1)


@pytest.mark.parametrize(
    ("depth", "context", "kind", "pairs", "frames"),
    [
        (18, "35-39", "identity", [("layer4.0.bn2", "layer4.1.bn2")], 2),
        (18, "layer1.0.bn1-layer2.0.downsample.1", "linear", [("layer1.0.bn1", "layer2.0.downsample.1")], 2),
        (18, "29-35, 35-39", "nonlinear", [("layer3.1.bn2", "layer4.0.bn2"), ("layer4.0.bn2", "layer4.1.bn2")], 3),
        (50, "5-11", "identity", [("layer1.0.bn1", "layer1.1.bn1")], 2),
        (50, "49-55", "identity", [("layer3.0.downsample.1", "layer3.0.bn3")], 2),
        (50, "97-105", "linear", [("layer4.1.bn2", "layer4.2.bn3")], 2),
        (50, "1-104", "nonlinear", [("bn1", "layer4.2.conv3")], 2),
    ],
)
def test_any_pair_of_positions(depth: int, context: str, kind: str, pairs: list, frames: int) -> None:
    network = small(context, depth, kind=kind)
    assert [(c.source, c.target) for c in network.connections] == pairs and network.context == frames
    with_statistics(network)
    clip = clips(1).float().requires_grad_()
    network.forward_frames(clip[:, 0].transpose(1, 2))[:, -1].sum().backward()
    seen = (clip.grad.abs().amax((0, 1, 2, 4, 5)) > 0).tolist()
    assert seen == [False] * (6 - frames) + [True] * frames


@pytest.mark.parametrize(
    ("depth", "context", "message"),
    [
        (18, "98-104", r"no position '98'; choose from 0 conv1, 1 bn1, .*, 39 layer4\.1\.bn2$"),
        (50, "98-106", r"no position '106'; choose from 0 conv1, .*, 105 layer4\.2\.bn3$"),
        (18, "39-35", r"layer4\.1\.bn2 is not before layer4\.0\.bn2\. After it are none"),
        (50, "104-98", r"layer4\.2\.conv3 is not before .* After it are 105 layer4\.2\.bn3$"),
        (18, "37-layer9", "no position 'layer9'; choose from 0 conv1"),
        (18, "3-5-7", "no pair of positions '3-5-7': write A-B, such as 98-104"),
        (18, "3-", "no pair of positions '3-'"),
        (18, "29-39", r"identity needs equal shapes: .* Use linear or nonlinear; later positions of its shape: none"),
        (50, "50-55", r"later positions of its shape: layer3\.0\.bn1$"),
    ],
)
def test_wrong_pairs_of_positions(depth: int, context: str, message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        small(context, depth)


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("context", CONTEXTS)
class TestContext:
    def test_scaled_by_zero_is_the_frame_network(self, context: str, depth: int) -> None:
        network = with_statistics(small(context, depth))
        frames = clips()[:, 0].transpose(1, 2)  # B F C H W
        with torch.no_grad():
            expected = network.network.forward_features(frames.flatten(0, 1)).unflatten(0, (2, 6))
            network.scale = 0.0
            torch.testing.assert_close(network.forward_frames(frames), expected)
            if context != "1":
                network.scale = 1.0
                assert (network.forward_frames(frames) - expected).abs().max() > 1e-4

    def test_depends_on_exactly_its_frames(self, context: str, depth: int) -> None:
        network = with_statistics(small(context, depth)).double()
        count = FRAMES[context]
        assert network.context == count
        frames = clips(1)[:, 0].transpose(1, 2).double().requires_grad_()
        network.forward_frames(frames)[0, -1].sum().backward()
        moves = frames.grad[0].abs().sum((1, 2, 3)) > 0
        assert moves.tolist() == [False] * (6 - count) + [True] * count

    def test_sharing_equals_every_sequence_by_itself(self, context: str, depth: int) -> None:
        network = with_statistics(small(context, depth, overlap=True))
        with torch.no_grad():
            shared = network.forward_sequences(clips())
            assert shared.shape[1] == 6 - FRAMES[context] + 1
            torch.testing.assert_close(shared, network.forward_naive(clips()), rtol=1e-4, atol=1e-5)


def test_disjoint_sequences_are_averaged() -> None:
    network = with_statistics(small("3"))
    with torch.no_grad():
        parts = [network(clips()[:, :, :, start : start + 3]).exp() for start in (0, 3)]
        torch.testing.assert_close(network(clips()).exp(), sum(parts) / 2)
        short = network(clips(), torch.tensor([3, 6]))  # behind a clip's end nothing counts
        torch.testing.assert_close(short[0].exp(), parts[0][0])
        torch.testing.assert_close(short[1], network(clips())[1])


def test_logits_and_gradients_of_sure_answers_are_finite() -> None:
    network = with_statistics(small("3"))
    with torch.no_grad():
        network.network.fc.bias.copy_(torch.linspace(0, 600, checks.CLASSES))
    logits = network(clips(), torch.tensor([3, 6]))  # the first clip's second sequence has no vote
    assert logits.isfinite().all() and logits.max() - logits.min() > 500
    logits.sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_a_projection_stands_beside_its_block() -> None:
    pairs = [("layer2.0.conv1", "layer2.0.bn2"), ("layer2.0.downsample.0", "layer2.1.bn1")]
    network = StResNet(ResNet(18, classes=3, width=WIDTH), [Connection(*pair, "linear") for pair in pairs])
    assert network.context == 2


def test_numbers_and_names_are_the_same_layers() -> None:
    network = StResNet(ResNet(18, classes=3, width=WIDTH), [Connection("2", "4", "linear")])
    assert network.connections[0].source == "layer1.0.conv1" and network.connections[0].target == "layer1.0.conv2"


@pytest.mark.parametrize(
    ("connection", "message"),
    [
        (Connection("layer1.0.conv1", "layer4.0.conv1"), "identity needs equal shapes: layer1.0.conv1 has 4 maps"),
        (Connection("layer4.0.conv1", "layer1.0.conv1", "linear"), "a connection must lead forward"),
        (Connection("layer9.0.conv1", "layer1.0.conv1"), r"no position 'layer9\.0\.conv1'; choose from 0 conv1, "),
        (Connection("layer1.0.conv1", "layer1.0.conv2", delay=0), "must bring an earlier frame"),
    ],
)
def test_connections_that_cannot_be(connection: Connection, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StResNet(ResNet(18, classes=3, width=WIDTH), [connection])


def test_unknown_context_and_short_clips() -> None:
    with pytest.raises(ValueError, match="no context '4' with depth 50; choose from 1, 2, 3, special3, 5, 5-11"):
        connections_for(50, "4")
    with pytest.raises(ValueError, match=r"no context '4' with depth 18; choose from 1, 2, 3, special3, 5, or A-B for"):
        connections_for(18, "4")
    with pytest.raises(ValueError, match="the context is 3 frames"):
        small("3", window=2)


class TestShortClips:
    @pytest.mark.parametrize("overlap", [False, True])
    @pytest.mark.parametrize("frames", [1, 2, 4])
    def test_zeros_behind_a_clip_do_not_count(self, overlap: bool, frames: int) -> None:
        network = with_statistics(small("2", overlap=overlap))
        clip = clips(2)
        short = clip.clone()
        short[:, :, :, frames:] = 0
        with torch.no_grad():
            answer = network(short)
            torch.testing.assert_close(answer, network(clip, torch.tensor([frames] * 2)))
            if frames >= 2:
                torch.testing.assert_close(answer, network(clip[:, :, :, :frames]))
            else:  # shorter than the context: its last frame goes on
                torch.testing.assert_close(answer, network(clip[:, :, :, [0, 0]]))
        assert lengths_of(short).tolist() == [frames] * 2

    def test_zeros_do_not_reach_the_batch_statistics(self) -> None:
        short = clips(2)
        short[:, :, :, 3:] = 0
        repeated = short.clone()
        repeated[:, :, :, 3:] = short[:, :, :, 2:3]
        one, other = small(overlap=True).train(), small(overlap=True).train()
        one(short), other(repeated)
        torch.testing.assert_close(one.state_dict(), other.state_dict())
