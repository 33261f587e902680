"""Nearest examples: a classifier without training, for a few clips per class, and a baseline for larger data sets.

A clip is sampled at `POINTS` evenly spaced moments. For pixels, the features are the mean of each of 8 x 8 blocks and
its mean change between frames, interpolated between chunks; for skeletons (`NearestSkeletons`), the coordinates. They
are centered and divided by their spread in the training clips, scaled to norm 1, and compared by dynamic time warping
(Sakoe and Chiba 1978) of squared distances, at most `BAND` moments apart. A class scores the smallest distance among
its examples (nearest neighbor; Cover and Hart 1967), or that of their mean (nearest class mean; Mensink et al. 2013)
if only one series per class is stored.

In: clip uint8 or float 0..255 [B, S, C, T, H, W], T a multiple of the chunk, or skeletons float32 [B, T, J, D + 1], 0
where a joint is missing; lengths int64 [B] in frames, None = T. Out: logits [B, N]. Nothing is trained.
Letters: M examples, P moments, w features of a moment.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.layers import to_unit
from gesta.models.recurrent import chunk_count
from gesta.models.skeleton_layers import masked, movement, to_length

POINTS = 16
"""Number of moments compared per clip."""
BAND = 3
"""Maximum time offset of the warping, in moments."""
BLOCKS = 8
"""Blocks of pixels in each direction."""
LONGEST = 64
"""Chunks that a stream remembers; only the last ones of longer clips are used."""
SHARPNESS = 20.0
"""Factor on distances, to sharpen their softmax."""
SPREAD_FLOOR = 0.3
"""For pixels: lower bound of a feature's divisor, as a fraction of the mean spread."""
STILL = 0.3
"""Weight of a block's appearance, relative to its change."""
MOVEMENT = 2.0
"""Weight of a joint's movement between moments, relative to its position."""


class Lookup(nn.Module):
    """Compares clips with `examples` stored ones, each a series of moments; subclasses implement `series`."""

    takes_lengths = True

    def __init__(self, *, classes: int, examples: int, width: int) -> None:
        super().__init__()
        self.center: Tensor
        self.spread: Tensor
        self.examples: Tensor
        self.classes: Tensor
        self.register_buffer("center", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.register_buffer("examples", torch.zeros(examples, POINTS, width))
        self.register_buffer("classes", torch.zeros(examples, classes))

    def series(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The features of clips before normalization, [B, P, w]."""
        raise NotImplementedError

    def spread_of(self, deviation: Tensor) -> Tensor:
        """The divisor of each feature, from its standard deviation [w] in the training clips."""
        raise NotImplementedError

    def answer(self, series: Tensor) -> Tensor:
        """`series` [B, P, w] -> logits [B, N]."""
        return self.forward_head(self._standardized(series))

    def forward_features(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Clips as compared: normalized series [B, P, w] of norm 1."""
        return self._standardized(self.series(clip, lengths))

    def forward_head(self, features: Tensor) -> Tensor:
        """Series [B, P, w] -> logits [B, N]: the smallest distance to each class, negated and sharpened."""
        far = warped(features, self.examples).unsqueeze(-1)  # B M 1
        return -SHARPNESS * torch.where(self.classes > 0, far, far.new_tensor(2.0)).amin(1)  # B N

    def forward(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.forward_head(self.forward_features(clip, lengths))

    def keep(self, series: Tensor, targets: Tensor, *, means: bool = False) -> None:
        """Stores the `series` [M, P, w] of clips of classes `targets` [M] as examples, or the class means."""
        classes = F.one_hot(targets, self.classes.shape[1]).to(series.dtype)  # M N
        self.center = series.mean((0, 1))
        self.spread = self.spread_of(series.flatten(0, 1).std(0, correction=0)).clamp(min=1e-6)
        self.examples, self.classes = self._examples(series, classes, means)

    def add(self, series: Tensor, targets: Tensor, classes: int, *, means: bool = False) -> None:
        """Adds examples of `classes` new classes numbered from 0; the stored ones are unchanged."""
        examples, new = self._examples(series, F.one_hot(targets, classes).to(series.dtype), means)
        self.classes = torch.block_diag(self.classes, new)
        self.examples = torch.cat([self.examples, examples])

    def _examples(self, series: Tensor, classes: Tensor, means: bool) -> tuple[Tensor, Tensor]:
        examples = self._standardized(series)
        if not means:
            return examples, classes
        return _unit(torch.tensordot(classes.T, examples, 1)), torch.eye(classes.shape[1])

    def _standardized(self, series: Tensor) -> Tensor:
        return _unit((series - self.center) / self.spread)


class NearestNet(Lookup):
    """For pixels; successive calls of `step` equal `forward` on the whole clip.

    `width`: features of a chunk, `width_of(streams, channels)`.
    """

    def __init__(self, *, classes: int, examples: int, width: int, chunk: int) -> None:
        super().__init__(classes=classes, examples=examples, width=width)
        self.chunk, self.width = chunk, width

    @property
    def state_shapes(self) -> dict[str, tuple[int, int, int]]:
        """Shapes of the state of `step`, zeros at a reset: the chunks so far, newest last, and their number."""
        return {"seen": (1, -1, LONGEST * self.width), "count": (1, -1, 1)}

    def series(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The features of clips before normalization, [B, P, w]."""
        described = _of_pixels(clip, self.chunk)  # B K w
        count = described.new_full((described.shape[0], 1), described.shape[1])
        if lengths is not None:
            count = chunk_count(lengths, self.chunk).unsqueeze(1).to(described.dtype)  # B 1
        return _moments(described, (count - LONGEST).clamp(min=0), count)

    def spread_of(self, deviation: Tensor) -> Tensor:
        """Each feature's deviation plus a fraction of the mean, separately for appearance and change."""
        still, change = deviation.unflatten(0, (2, -1))
        return torch.cat([(still + SPREAD_FLOOR * still.mean()) / STILL, change + SPREAD_FLOOR * change.mean()])

    def step(self, chunk: Tensor, seen: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One chunk and the state (`state_shapes`) -> logits [B, N], the new state."""
        seen = torch.cat([seen[0, :, self.width :], _of_pixels(chunk, self.chunk).flatten(1)], 1)  # B LONGEST*w
        count = (count + 1).clamp(max=LONGEST)
        first = LONGEST - count[0]  # B 1
        series = _moments(seen.reshape(-1, LONGEST, self.width), first, torch.full_like(first, LONGEST))
        return self.answer(series), seen.unsqueeze(0), count


class NearestSkeletons(Lookup):
    """For normalized skeletons, on whole clips."""

    def __init__(self, *, classes: int, examples: int, joints: int, dimensions: int) -> None:
        super().__init__(classes=classes, examples=examples, width=2 * joints * dimensions)

    def series(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Positions and movement before normalization, 0 where joints are missing, [B, P, 2 * J * D]."""
        points, seen = to_length(*masked(clip[..., :-1], clip[..., -1]), lengths, POINTS)
        return torch.cat([points, MOVEMENT * movement(points, seen, 1)], 2).flatten(2)

    def spread_of(self, deviation: Tensor) -> Tensor:
        """The same for all features, so that joints with more motion weigh more."""
        return torch.full_like(deviation, float(deviation.mean()))


def warped(series: Tensor, examples: Tensor) -> Tensor:
    """[B, P, w] and [M, P, w] -> the minimum sum of halved squared distances over warping paths, [B, M]."""
    square, other = series.square().sum(-1), examples.square().sum(-1)  # B P, M P
    flat = torch.matmul(series.flatten(0, 1), examples.flatten(0, 1).T)  # B*P M*P
    shared = flat.reshape(-1, POINTS, examples.shape[0], POINTS).transpose(1, 2)  # B M P P
    cost = (square[:, None, :, None] + other[None, :, None, :]) / 2 - shared
    best: dict[tuple[int, int], Tensor] = {}
    for i in range(POINTS):  # a constant: exported graphs have no loop over a dynamic length
        for j in range(max(0, i - BAND), min(POINTS, i + BAND + 1)):
            ways = [best[place] for place in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if place in best]
            best[i, j] = cost[..., i, j] + (functools.reduce(torch.minimum, ways) if ways else 0)
    return best[POINTS - 1, POINTS - 1]


def width_of(streams: int, channels: int) -> int:
    """Features of a chunk of pixels."""
    return 2 * streams * channels * BLOCKS**2


def _unit(series: Tensor) -> Tensor:
    """[B, P, w], each clip scaled to norm 1."""
    return series / series.square().sum((1, 2), keepdim=True).sqrt().clamp(min=1e-6)


def _of_pixels(clip: Tensor, chunk: int) -> Tensor:
    """[B, S, C, T, H, W] -> mean and change of each block in each chunk, [B, K, 2 * S * C * 64]."""
    batch, streams, channels, frames, height, width = clip.shape
    count = frames // chunk
    tiles = to_unit(clip).reshape(
        batch, streams * channels, count, chunk, BLOCKS, height // BLOCKS, BLOCKS, width // BLOCKS
    )  # B SC K t 8 h 8 w
    change = (tiles[:, :, :, 1:] - tiles[:, :, :, :-1]).abs()
    both = torch.cat([tiles.mean((3, 5, 7)), change.sum(3).mean((4, 6)) / chunk], 1)  # B 2SC K 8 8
    return both.permute(0, 2, 1, 3, 4).reshape(batch, count, 2 * streams * channels * BLOCKS**2)


def _moments(described: Tensor, first: Tensor, end: Tensor) -> Tensor:
    """Chunks [B, K, w], valid from `first` to `end` [B, 1] -> the moments in between, [B, P, w]."""
    along = (torch.arange(POINTS, device=described.device) + 0.5) / POINTS  # P
    place = first + along * (end - first) - 0.5  # B P
    place = torch.minimum(torch.maximum(place, first), end - 1)
    index = torch.arange(described.shape[1], device=described.device, dtype=described.dtype)  # K
    weight = (1 - (place.unsqueeze(2) - index).abs()).clamp(min=0)  # B P K: linear interpolation between two chunks
    return torch.matmul(weight, described)
