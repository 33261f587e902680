"""Every network through the battery; the counts of the spec; the folded convolutions against the plain ones."""

from __future__ import annotations

import checks
import pytest
import torch

from gesta.models.catalog import CHUNK_MODELS, MODELS, build
from gesta.models.layers import StreamEncoder
from gesta.models.recurrent import ChunkNet, chunk_mask


def small(name: str, **changes: float) -> torch.nn.Module:
    torch.manual_seed(0)
    settings = {"classes": checks.CLASSES, "size": 32, "window": 8, "width": 0.125} | changes
    return build(name, **settings)


@pytest.mark.parametrize(
    ("name", "width", "millions"),
    [
        ("cnn3d_lstm", 1.0, 18.368),
        ("cnn3d_lstm", 0.5, 4.597),
        ("cnn3d_lstm", 0.25, 1.152),
        ("cnn3d", 1.0, 18.824),
        ("lstm", 1.0, 34.350),
    ],
)
def test_parameter_counts_of_the_spec(name: str, width: float, millions: float) -> None:
    with torch.device("meta"):
        network = build(name, classes=20, width=width)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 3) == millions


@pytest.mark.parametrize("name", MODELS)
class TestBattery:
    def test_shapes(self, name: str) -> None:
        checks.check_shapes(small(name), checks.clips())

    def test_gradients(self, name: str) -> None:
        checks.check_gradients(small(name), checks.clips())

    def test_saves(self, name: str, tmp_path) -> None:
        network = small(name)
        network.train()(checks.clips())  # running statistics other than at the start
        checks.check_saves(network, small(name), checks.clips(), tmp_path)

    def test_overfits(self, name: str) -> None:
        checks.check_overfits(small(name), checks.clips(6))

    def test_batch_independence(self, name: str) -> None:
        network = small(name)
        network.train()(checks.clips())
        checks.check_independence(network, checks.clips(seed=1))

    @pytest.mark.parametrize(("streams", "channels"), [(1, 1), (1, 2), (2, 3)])
    def test_any_streams_and_channels(self, name: str, streams: int, channels: int) -> None:
        network = small(name, streams=streams, channels=channels)
        checks.check_gradients(network, checks.clips(streams=streams, channels=channels))


@pytest.mark.parametrize("memory", [0.0, 0.7])
@pytest.mark.parametrize("name", CHUNK_MODELS)
def test_streaming_equals_whole(name: str, memory: float) -> None:
    network = small(name, memory=memory)
    assert list(network.state_shapes) == (["h", "c", "votes"] if memory else ["h", "c"])
    checks.check_streaming(network, checks.clips(frames=16))


@pytest.mark.parametrize("memory", [0.0, 0.7])
@pytest.mark.parametrize("name", CHUNK_MODELS)
def test_padding_changes_nothing(name: str, memory: float) -> None:
    checks.check_padding(small(name, memory=memory), checks.clips(frames=12))


def test_fading_vote_by_hand() -> None:
    network = small("cnn3d_lstm", memory=0.5)
    steps = torch.tensor([[[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 3.0, 0.0]]])
    p = [row.softmax(0) for row in steps[0]]
    expected = torch.stack([p[0], p[1] + 0.5 * p[0], p[2] + 0.5 * p[1] + 0.25 * p[0]]).log()
    torch.testing.assert_close(network.answers(steps)[0], expected)


@pytest.mark.parametrize(("frames", "halves_time"), [(4, (0,)), (2, (0,)), (3, ()), (1, ())])
def test_folded_convolutions_equal_plain_ones(frames: int, halves_time: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    folded = StreamEncoder(3, frames=frames, width=0.25, halves_time=halves_time).double()
    plain = StreamEncoder(3, frames=32, width=0.25, halves_time=halves_time).double()
    plain.load_state_dict(folded.state_dict())
    assert folded.folded and not plain.folded
    clip = torch.rand(3, 3, frames, 32, 32, dtype=torch.float64)
    for training in (True, False):
        one, other = folded.train(training)(clip), plain.train(training)(clip)
        torch.testing.assert_close(one, other)
        for encoder, maps in ((folded, one), (plain, other)):
            encoder.zero_grad()
            maps.square().sum().backward()
        for (name, p), (_, q) in zip(folded.named_parameters(), plain.named_parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, msg=name)
    for (name, p), (_, q) in zip(folded.named_buffers(), plain.named_buffers(), strict=True):
        torch.testing.assert_close(p, q, msg=name)


def test_single_chunks_for_pretraining() -> None:
    network = small("cnn3d_lstm")
    chunks = ChunkNet(network, checks.CLASSES).eval()
    clip, lengths = checks.clips(frames=12), torch.tensor([4, 8, 12, 12])
    with torch.no_grad():
        steps = chunks.forward_steps(clip, lengths)
        assert steps.shape == (4, 3, checks.CLASSES)
        torch.testing.assert_close(chunks(clip, lengths)[1], steps[1, :2].mean(0))
        torch.testing.assert_close(steps[2, 1], chunks(clip[2:3, :, :, 4:8])[0], rtol=1e-4, atol=1e-5)
    trained = {name.split(".")[0] for name, p in chunks.named_parameters() if p.requires_grad}
    assert trained == {"network", "temporary"}
    assert not network.lstm.weight_ih_l0.requires_grad


def test_chunk_mask_by_hand() -> None:
    found = chunk_mask(torch.tensor([1, 4, 5, 12]), 4, 3).tolist()
    assert found == [[True, False, False], [True, False, False], [True, True, False], [True, True, True]]


def test_unknown_network_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"cnn3d, lstm, cnn3d_lstm.*\. Did you mean cnn3d_lstm\?"):
        build("cnn3d_lsmt", classes=2)


def test_too_small_input_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        build("cnn3d_lstm", classes=2, size=8)
