"""Nearest examples and class means: against a slow loop, by steps, and what two clips of a class are to each other."""

import numpy as np
import pytest
import torch

from gesta.models.nearest import BLOCKS, POINTS, SPREAD_FLOOR, NearestNet, width_of


def pixels(seed: int, frames: int = 20) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (3, 1, 2, frames, 16, 16)).astype(np.uint8))


def skeletons(seed: int, frames: int = 20) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(3, frames, 5, 3)).astype(np.float32))


def learned(clip: torch.Tensor, chunk: int, *, means: bool = False) -> NearestNet:
    width = width_of(1, 2) if clip.dim() == 6 else 10
    network = NearestNet(classes=2, examples=3, width=width, chunk=chunk).eval()
    network.keep(network.series(clip, torch.tensor([20, 17, 9])), torch.tensor([0, 1, 0]), means=means)
    return network


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
    return np.array([[np.interp(place, range(len(chunks)), column) for column in columns] for place in places]).ravel()


def test_a_clip_is_described_as_by_a_slow_loop():
    clip = pixels(0)
    network = NearestNet(classes=2, examples=1, width=width_of(1, 2), chunk=4)
    found = network.series(clip, torch.tensor([20, 16, 8]))
    for row, frames in enumerate((20, 16, 8)):
        np.testing.assert_allclose(found[row], described_slowly(clip[row, 0].numpy(), frames, 4), atol=1e-5)


def test_a_class_scores_its_best_example():
    clip, other = pixels(0), pixels(1)
    network = learned(clip, 4)
    series = network.series(clip, torch.tensor([20, 17, 9])).double().numpy()
    center, spread = series.mean(0), series.std(0)
    spread = spread + SPREAD_FLOOR * spread.mean()
    kept, asked = ((rows - center) / spread for rows in (series, network.series(other).double().numpy()))
    for row, logits in zip(asked, network(other), strict=True):
        cosines = [row @ one / np.linalg.norm(row) / np.linalg.norm(one) for one in kept]
        np.testing.assert_allclose(logits, [20 * max(cosines[0], cosines[2]), 20 * cosines[1]], atol=1e-3)


@pytest.mark.parametrize(("make", "chunk"), [(pixels, 4), (skeletons, 1)])
@pytest.mark.parametrize("means", [False, True])
def test_steps_are_the_whole(make, chunk, means):
    clip, other = make(0), make(1)
    network = learned(clip, chunk, means=means)
    state = [torch.zeros([3 if n == -1 else n for n in shape]) for shape in network.state_shapes.values()]
    for start in range(0, 20, chunk):
        part = other[:, :, :, start : start + chunk] if make is pixels else other[:, start : start + chunk]
        logits, *state = network.step(part, *state)
        until = other[:, :, :, : start + chunk] if make is pixels else other[:, : start + chunk]
        torch.testing.assert_close(logits, network(until), atol=1e-4, rtol=1e-4)


def test_of_a_long_clip_the_last_chunks_count():
    network = learned(skeletons(0), 1)
    long = skeletons(1, 80)
    torch.testing.assert_close(network(long), network(long[:, -64:]))


def test_its_own_examples_are_recognized():
    clip = pixels(3)
    network = learned(clip, 4)
    assert network(clip, torch.tensor([20, 17, 9])).argmax(1).tolist() == [0, 1, 0]
    assert learned(clip, 4, means=True).examples.shape[0] == 2
