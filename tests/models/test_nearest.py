"""Nearest examples and class means: against a slow loop, by steps, and what two clips of a class are to each other."""

import numpy as np
import pytest
import torch

from gesta.models.nearest import (
    BAND,
    BLOCKS,
    MOVEMENT,
    POINTS,
    SHARPNESS,
    SPREAD_FLOOR,
    STILL,
    Lookup,
    NearestNet,
    NearestSkeletons,
    warped,
    width_of,
)

LENGTHS = torch.tensor([20, 17, 9])


def pixels(seed: int, frames: int = 20) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (3, 1, 2, frames, 16, 16)).astype(np.uint8))


def skeletons(seed: int, frames: int = 20) -> torch.Tensor:
    clip = np.random.default_rng(seed).normal(size=(3, frames, 5, 3)).astype(np.float32)
    clip[..., -1] = 1
    return torch.from_numpy(clip)


def learned(clip: torch.Tensor, *, means: bool = False) -> Lookup:
    shape = {"classes": 2, "examples": 3}
    network: Lookup = NearestSkeletons(**shape, joints=5, dimensions=2)
    if clip.dim() == 6:
        network = NearestNet(**shape, width=width_of(1, 2), chunk=4)
    network.keep(network.series(clip, LENGTHS), torch.tensor([0, 1, 0]), means=means)
    return network.eval()


def described_slowly(clip: np.ndarray, frames: int, chunk: int) -> np.ndarray:
    """[C, T, H, W] -> the moments of its first frames, by loops."""
    channels, _, height, width = clip.shape
    chunks = []
    for start in range(0, frames, chunk):
        part, numbers = clip[:, start : start + chunk] / 255, {"mean": [], "change": []}
        for c in range(channels):
            for y in range(BLOCKS):
                for x in range(BLOCKS):
                    h, w = height // BLOCKS, width // BLOCKS
                    block = part[c, :, y * h : (y + 1) * h, x * w : (x + 1) * w]
                    numbers["mean"].append(block.mean())
                    numbers["change"].append(np.abs(np.diff(block, axis=0)).mean((1, 2)).sum() / chunk)
        chunks.append(numbers["mean"] + numbers["change"])
    places = [min(max((p + 0.5) / POINTS * len(chunks) - 0.5, 0), len(chunks) - 1) for p in range(POINTS)]
    columns = np.array(chunks).T
    return np.array([[np.interp(place, range(len(chunks)), column) for column in columns] for place in places])


def warped_slowly(one: np.ndarray, other: np.ndarray) -> float:
    """Dynamic time warping as its recursion says."""

    def cost(i: int, j: int) -> float:
        if min(i, j) < 0 or abs(i - j) > BAND:
            return np.inf
        if (i, j) not in known:
            before = 0.0 if i == j == 0 else min(cost(i - 1, j - 1), cost(i - 1, j), cost(i, j - 1))
            known[i, j] = float(((one[i] - other[j]) ** 2).sum() / 2) + before
        return known[i, j]

    known: dict[tuple[int, int], float] = {}
    return cost(len(one) - 1, len(other) - 1)


def test_a_clip_is_described_as_by_a_slow_loop():
    clip = pixels(0)
    network = NearestNet(classes=2, examples=1, width=width_of(1, 2), chunk=4)
    found = network.series(clip, torch.tensor([20, 16, 8]))
    for row, frames in enumerate((20, 16, 8)):
        np.testing.assert_allclose(found[row], described_slowly(clip[row, 0].numpy(), frames, 4), atol=1e-5)


def test_a_skeleton_is_described_by_places_and_movement():
    clip = skeletons(0, POINTS)
    found = NearestSkeletons(classes=2, examples=1, joints=5, dimensions=2).series(clip)
    points = clip[..., :2].numpy()
    moved = np.diff(points, axis=1, prepend=points[:, :1])
    both = np.concatenate([points, MOVEMENT * moved], 2).reshape(3, POINTS, -1)
    np.testing.assert_allclose(found, both, atol=1e-5)


def test_series_are_warped_as_by_the_recursion():
    one, other = (torch.from_numpy(np.random.default_rng(seed).normal(size=(3, POINTS, 6))) for seed in (0, 1))
    found = warped(one, other)
    slowly = [[warped_slowly(a, b) for b in other.numpy()] for a in one.numpy()]
    np.testing.assert_allclose(found, slowly, atol=1e-9)
    later = torch.cat([one[:, :1], one[:, :-1]], 1)
    assert torch.diagonal(warped(one, later)).max() < (one - later).square().sum((1, 2)).min() / 4


def test_a_class_scores_its_best_example():
    clip, other = pixels(0), pixels(1)
    network = learned(clip)
    assert isinstance(network, NearestNet)
    series = network.series(clip, LENGTHS).double().numpy()
    spread, half = series.reshape(-1, network.width).std(0), network.width // 2
    spread = np.concatenate(
        [(part + SPREAD_FLOOR * part.mean()) / weight for part, weight in ((spread[:half], STILL), (spread[half:], 1))]
    )
    asked = network.series(other, LENGTHS).double().numpy()
    kept, asked = ((rows - series.mean((0, 1))) / spread for rows in (series, asked))
    kept, asked = (rows / np.sqrt((rows**2).sum((1, 2), keepdims=True)) for rows in (kept, asked))
    for row, logits in zip(asked, network(other, LENGTHS), strict=True):
        far = [warped_slowly(row, one) for one in kept]
        np.testing.assert_allclose(logits, [-SHARPNESS * min(far[0], far[2]), -SHARPNESS * far[1]], atol=1e-3)


@pytest.mark.parametrize("means", [False, True])
def test_steps_are_the_whole(means):
    clip, other = pixels(0), pixels(1)
    network = learned(clip, means=means)
    assert isinstance(network, NearestNet)
    state = [torch.zeros([3 if n == -1 else n for n in shape]) for shape in network.state_shapes.values()]
    for start in range(0, 20, 4):
        logits, *state = network.step(other[:, :, :, start : start + 4], *state)
        torch.testing.assert_close(logits, network(other[:, :, :, : start + 4]), atol=1e-3, rtol=1e-4)


def test_of_a_long_clip_the_last_chunks_count():
    network = learned(pixels(0))
    long = pixels(1, 264)
    torch.testing.assert_close(network(long), network(long[:, :, :, -256:]))


@pytest.mark.parametrize("make", [pixels, skeletons])
def test_its_own_examples_are_recognized(make):
    clip = make(3)
    network = learned(clip)
    assert network(clip, LENGTHS).argmax(1).tolist() == [0, 1, 0]
    assert learned(clip, means=True).examples.shape[0] == 2


@pytest.mark.parametrize("make", [pixels, skeletons])
def test_further_classes_leave_the_others_as_they_are(make):
    clip, other = make(3), make(4)
    network = learned(clip)
    before = network(clip, LENGTHS)
    network.add(network.series(other, LENGTHS), torch.tensor([1, 0, 1]), 2)
    torch.testing.assert_close(network(clip, LENGTHS)[:, :2], before)
    assert network(other, LENGTHS).argmax(1).tolist() == [3, 2, 3]
