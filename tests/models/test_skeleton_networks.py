"""The networks on skeletons through the battery, and their parts against slow loops."""

from __future__ import annotations

import checks
import pytest
import torch

from gesta.models.catalog import SKELETON_MODELS, build_skeleton
from gesta.models.skeleton_layers import distances, movement, pairs, to_length
from gesta.models.st_gcn import GraphConvolution, graphs

EDGES = [(i, i + 1) for i in range(19)]
SMALL = {
    "dd_net": {"width": 8, "dropout": 0.0, "embedding_dropout": 0.0},
    "st_gcn": {"widths": (8, 8, 16), "dropout": 0.0},
    "tcn": {"width": 16, "dropout": 0.0},
}


def small(name: str, joints: int = 20, **changes) -> torch.nn.Module:
    torch.manual_seed(0)
    settings = {"classes": checks.CLASSES, "joints": joints, "edges": EDGES} | SMALL[name] | changes
    return build_skeleton(name, **settings)


@pytest.mark.parametrize(
    ("name", "changes", "millions"),
    [
        ("dd_net", {}, 1.07),
        ("dd_net", {"width": 64}, 1.86),
        ("st_gcn", {"topology": "fixed"}, 0.34),
        ("st_gcn", {}, 0.38),
        ("tcn", {"classes": 14}, 0.38),
    ],
)
def test_parameter_counts_of_the_headers(name: str, changes: dict, millions: float) -> None:
    network = build_skeleton(name, **({"classes": 27, "joints": 20, "edges": EDGES} | changes))
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == millions


@pytest.mark.parametrize("name", SKELETON_MODELS)
class TestBattery:
    def test_shapes(self, name: str) -> None:
        checks.check_shapes(small(name), checks.skeletons())

    def test_gradients(self, name: str) -> None:
        checks.check_gradients(small(name), checks.skeletons())

    def test_saves(self, name: str, tmp_path) -> None:
        network = small(name)
        network.train()(checks.skeletons())
        checks.check_saves(network, small(name), checks.skeletons(), tmp_path)

    def test_overfits(self, name: str) -> None:
        checks.check_overfits(small(name), checks.skeletons(6))

    def test_batch_independence(self, name: str) -> None:
        network = small(name)
        network.train()(checks.skeletons())
        checks.check_independence(network, checks.skeletons(seed=1))

    def test_padding(self, name: str) -> None:
        checks.check_skeleton_padding(small(name), checks.skeletons())

    def test_missing_joints(self, name: str) -> None:
        checks.check_missing_joints(small(name), checks.skeletons())

    @pytest.mark.parametrize(("joints", "dimensions"), [(33, 2), (42, 3)])
    def test_any_joints_and_dimensions(self, name: str, joints: int, dimensions: int) -> None:
        network = small(name, joints, dimensions=dimensions)
        checks.check_gradients(network, checks.skeletons(joints=joints, dimensions=dimensions))

    @pytest.mark.parametrize("frames", [1, 2, 70])
    def test_clips_of_any_length(self, name: str, frames: int) -> None:
        with torch.no_grad():
            assert small(name).eval()(checks.skeletons(frames=frames)).shape == (4, checks.CLASSES)


@pytest.mark.parametrize("chunks", [(1,) * 24, (5, 1, 10, 8), (24,)])
def test_streaming_equals_whole(chunks: tuple[int, ...]) -> None:
    network = small("tcn")
    network.train()(checks.skeletons())
    checks.check_skeleton_streaming(network, checks.skeletons(seed=2), chunks)


def test_answers_of_a_stream_do_not_look_ahead() -> None:
    network = small("tcn").eval()
    clip = checks.skeletons()
    other = clip.clone()
    other[:, 15:] = 7
    with torch.no_grad():
        torch.testing.assert_close(network.forward_steps(other)[:, :15], network.forward_steps(clip)[:, :15])


@pytest.mark.parametrize("topology", ["fixed", "refined"])
def test_both_topologies_learn(topology: str) -> None:
    checks.check_overfits(small("st_gcn", topology=topology), checks.skeletons(6))


def test_unknown_names_and_missing_bones_are_told() -> None:
    with pytest.raises(ValueError, match="dd_net"):
        build_skeleton("ddnet", classes=3, joints=20)
    with pytest.raises(ValueError, match="needs the bones"):
        build_skeleton("st_gcn", classes=3, joints=20)
    with pytest.raises(ValueError, match="multiple of 16"):
        build_skeleton("dd_net", classes=3, joints=20, frames=24)


def random_points(frames: int = 7, joints: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(2, frames, joints, 3, generator=generator)
    seen = (torch.rand(2, frames, joints, generator=generator) > 0.3).float()
    return points * seen.unsqueeze(-1), seen


@pytest.mark.parametrize("back", [1, 3])
def test_movement_equals_loop(back: int) -> None:
    points, seen = random_points()
    expected = torch.zeros_like(points)
    for b, t, j in torch.cartesian_prod(*map(torch.arange, points.shape[:3])).tolist():
        if t >= back and seen[b, t, j] and seen[b, t - back, j]:
            expected[b, t, j] = points[b, t, j] - points[b, t - back, j]
    torch.testing.assert_close(movement(points, seen, back), expected)


def test_distances_equal_loop() -> None:
    points, seen = random_points()
    first, second = pairs(4)
    found = distances(points, seen, first, second)
    for p, (i, j) in enumerate([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]):
        for b in range(2):
            for t in range(7):
                there = bool(seen[b, t, i] * seen[b, t, j])
                expected = float((points[b, t, i] - points[b, t, j]).norm()) if there else 0.0
                assert float(found[b, t, p]) == pytest.approx(expected, abs=2e-4)


def test_one_length_equals_loop() -> None:
    points, seen = random_points()
    lengths, frames = torch.tensor([7, 3]), 5
    found, there = to_length(points, seen, lengths, frames)
    for b, length in enumerate(lengths.tolist()):
        for f in range(frames):
            place = f / (frames - 1) * (length - 1)
            low = int(place + 1e-6)
            high, share = min(low + 1, length - 1), place - int(place + 1e-6)
            for j in range(4):
                parts = [
                    ((1 - share) * seen[b, low, j], points[b, low, j]),
                    (share * seen[b, high, j], points[b, high, j]),
                ]
                total = sum(float(w) for w, _ in parts)
                expected = sum(w * p for w, p in parts) / total if total > 1e-5 else torch.zeros(3)
                torch.testing.assert_close(found[b, f, j], expected, rtol=1e-4, atol=1e-4)
                assert float(there[b, f, j]) == pytest.approx(total, abs=1e-4)


def test_graphs_by_hand() -> None:
    # 0 - 1 - 2, and 3 - 4 apart: 1 is the middle of the first part, 3 that of the second
    itself, closer, further = graphs(5, [(0, 1), (1, 2), (3, 4)])
    assert torch.equal(itself, torch.eye(5))
    assert torch.nonzero(closer).tolist() == [[0, 1], [2, 1], [4, 3]]
    assert torch.nonzero(further).tolist() == [[1, 0], [1, 2], [3, 4]]
    assert further[1].tolist() == [0.5, 0, 0.5, 0, 0]


def test_graph_convolution_equals_loop() -> None:
    torch.manual_seed(0)
    layer = GraphConvolution(3, 3, graphs(3, [(0, 1), (1, 2)]), "refined").eval()
    x = torch.randn(2, 3, 4, 3)
    with torch.no_grad():
        values = layer.values(x).unflatten(1, (3, 3))  # B K C T J
        mean = x.mean(2)
        target, source = layer.refine["target"](mean), layer.refine["source"](mean)
        mixed = torch.zeros(2, 3, 4, 3)
        for i in range(3):
            for j in range(3):
                difference = torch.tanh(target[:, :, i] - source[:, :, j])
                own = layer.refine["out"](difference[..., None, None])[..., 0, 0].unflatten(1, (3, 3))  # B K C
                for k in range(3):
                    weight = layer.adjacency[k, i, j] + layer.strength * own[:, k]  # B C
                    mixed[:, :, :, i] += weight.unsqueeze(-1) * values[:, k, :, :, j]
        torch.testing.assert_close(layer(x), (layer.norm(mixed) + x).relu(), rtol=1e-4, atol=1e-5)
