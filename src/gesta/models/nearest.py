"""Nearest examples: a classifier without training, for sets of a few clips a class, and the baseline of larger ones.

A clip is seen as `POINTS` moments, evenly spread over its chunks. Of a chunk of pixels count the mean of each of 8 x 8
blocks and the mean change in it from frame to frame; of a chunk of skeletons its mean coordinates. The vector of a clip
is that series, each number less its mean and over its spread in the training clips, at length 1. A class scores the
best cosine among its examples (nearest neighbor; Cover and Hart 1967), or that of their mean (nearest class mean;
Mensink et al. 2013) where one vector a class is kept.

In: clip uint8 or float 0..255 [B, S, C, T, H, W], or skeletons float32 [B, T, J, D + 1], 0 where a joint is missing; T
is a multiple of the chunk; lengths int64 [B] in frames, None = T. Out: logits [B, N]. Nothing in it learns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.layers import to_unit
from gesta.models.recurrent import chunk_count

POINTS = 8
"""Moments of a clip that are compared."""
BLOCKS = 8
"""Blocks of pixels in each direction."""
LONGEST = 64
"""Chunks that a stream remembers; of longer clips the last so many count."""
SHARPNESS = 20.0
"""Cosines are multiplied by it, so that their softmax is decided."""
SPREAD_FLOOR = 0.3
"""Numbers that hardly vary are divided by at least this share of the mean spread."""


class NearestNet(nn.Module):
    """Compares clips with `examples` kept ones; `step` on one chunk after another equals `forward` on the whole.

    `width`: numbers that describe a chunk, `width_of` the stream.
    """

    def __init__(self, *, classes: int, examples: int, width: int, chunk: int) -> None:
        super().__init__()
        self.chunk, self.width = chunk, width
        self.center: Tensor
        self.spread: Tensor
        self.examples: Tensor
        self.classes: Tensor
        self.register_buffer("center", torch.zeros(POINTS * width))
        self.register_buffer("spread", torch.ones(POINTS * width))
        self.register_buffer("examples", torch.zeros(examples, POINTS * width))
        self.register_buffer("classes", torch.zeros(examples, classes))

    @property
    def state_shapes(self) -> dict[str, tuple[int, int, int]]:
        """The state of `step`, zeros at a reset: the chunks so far, the newest last, and their number."""
        return {"seen": (1, -1, LONGEST * self.width), "count": (1, -1, 1)}

    def series(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        """What of clips is compared, as it is: [B, D]."""
        described = self._described(clip)  # B K w
        count = described.new_full((described.shape[0], 1), described.shape[1])
        if lengths is not None:
            count = chunk_count(lengths, self.chunk).unsqueeze(1).to(described.dtype)  # B 1
        return _moments(described, (count - LONGEST).clamp(min=0), count)

    def answer(self, series: Tensor) -> Tensor:
        """`series` [B, D] -> logits [B, N]."""
        return self.forward_head(self._standardized(series))

    def forward_features(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The vectors of clips, [B, D], standardized, of length 1."""
        return self._standardized(self.series(clip, lengths))

    def forward_head(self, features: Tensor) -> Tensor:
        """Vectors [B, D] -> logits [B, N]: a class's best cosine, sharpened."""
        cosines = torch.matmul(features, self.examples.T).unsqueeze(-1)  # B M 1
        return SHARPNESS * torch.where(self.classes > 0, cosines, cosines.new_tensor(-1.0)).amax(1)  # B N

    def forward(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.forward_head(self.forward_features(clip, lengths))

    def step(self, chunk: Tensor, seen: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One chunk and the state (`state_shapes`) -> logits [B, N], the new state."""
        seen = torch.cat([seen[0, :, self.width :], self._described(chunk).flatten(1)], 1)  # B LONGEST*w
        count = (count + 1).clamp(max=LONGEST)
        first = LONGEST - count[0]  # B 1
        series = _moments(seen.reshape(-1, LONGEST, self.width), first, torch.full_like(first, LONGEST))
        return self.answer(series), seen.unsqueeze(0), count

    def keep(self, series: Tensor, targets: Tensor, *, means: bool = False) -> None:
        """Takes the `series` [M, D] of clips of classes `targets` [M] as the examples, or the means of the classes."""
        classes = F.one_hot(targets, self.classes.shape[1]).to(series.dtype)  # M N
        spread = series.std(0, correction=0)
        self.center, self.spread = series.mean(0), (spread + SPREAD_FLOOR * spread.mean()).clamp(min=1e-6)
        examples = self._standardized(series)
        if means:
            examples, classes = F.normalize(torch.matmul(classes.T, examples), dim=1), torch.eye(classes.shape[1])
        self.examples, self.classes = examples, classes

    def _standardized(self, series: Tensor) -> Tensor:
        return F.normalize((series - self.center) / self.spread, dim=1)

    def _described(self, clip: Tensor) -> Tensor:
        """The numbers of each chunk, [B, K, w]."""
        return _of_skeletons(clip, self.chunk) if clip.dim() == 4 else _of_pixels(clip, self.chunk)


def width_of(streams: int, channels: int) -> int:
    """Numbers that describe a chunk of pixels."""
    return 2 * streams * channels * BLOCKS**2


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


def _of_skeletons(clip: Tensor, chunk: int) -> Tensor:
    """[B, T, J, D + 1] -> mean coordinates in each chunk, [B, K, J * D]."""
    batch, frames, joints, numbers = clip.shape
    chunks = clip[..., :-1].reshape(batch, frames // chunk, chunk, joints * (numbers - 1))
    return chunks.mean(2)


def _moments(described: Tensor, first: Tensor, end: Tensor) -> Tensor:
    """Chunks [B, K, w], of which `first` to `end` [B, 1] count -> the moments in between, [B, POINTS * w]."""
    along = (torch.arange(POINTS, device=described.device) + 0.5) / POINTS  # P
    place = first + along * (end - first) - 0.5  # B P
    place = torch.minimum(torch.maximum(place, first), end - 1)
    index = torch.arange(described.shape[1], device=described.device, dtype=described.dtype)  # K
    weight = (1 - (place.unsqueeze(2) - index).abs()).clamp(min=0)  # B P K: linear between two chunks
    return torch.matmul(weight, described).flatten(1)
