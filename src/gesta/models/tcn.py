"""Causal temporal convolutions on skeletons (Bai, Kolter, Koltun 2018, "An Empirical Evaluation of Generic
Convolutional and Recurrent Networks for Sequence Modeling"): an output after every frame, for streams and continuous
recognition.

In: skeleton float32 [B, T, J, D], mask [B, T, J], lengths [B] (gesta.models.skeleton_layers). Out: logits [B, N] after
the last frame, `forward_steps`: [B, T, N] after each. `step` takes the next frames and the state, named arrays as
in `state_shapes`: the past frames that the convolutions need; frame by frame equals the whole clip.
A frame is positions, movement over 1 and 4 frames, distances of all pairs and the mask; blocks look 2, 4, 8, 16, 32
frames further back each: 63 frames in all. `centered`: positions relative to the mean of each frame's joints, so that
only movement depends on the position of the body. Parameters with 20 joints in 3-D, N = 14, width 128: 0.38 M.
Deviations: batch normalization over valid frames (no padding) instead of weight normalization, one
convolution and one 1 x 1 convolution per block where the paper has two.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from gesta.models.skeleton_layers import SkeletonClassifier, centered, distances, masked, moved, pairs

SLOW, FAST = 1, 4
KERNEL = 3


class FrameNorm(nn.BatchNorm1d):
    """Batch normalization of [B, C, T] over the frames that belong to a clip, `valid` [B, T]; the others give 0."""

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:  # type: ignore[override]
        if valid is None or not self.training:
            return super().forward(x)
        rows = x.transpose(1, 2)  # B T C
        return torch.zeros_like(rows).index_put((valid,), super().forward(rows[valid])).transpose(1, 2)


class CausalBlock(nn.Module):
    """Causal dilated convolution, BN, ReLU, dropout, 1 x 1, shortcut: [B, C, T] -> [B, C, T]."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.dilation, self.back = dilation, (KERNEL - 1) * dilation
        self.convolution = nn.Conv1d(width, width, KERNEL, dilation=dilation, bias=False)
        self.norm = FrameNorm(width)
        self.dropout = nn.Dropout1d(dropout)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, before: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x and the last `back` frames before it [B, C, back] -> the output, and those frames for the next call."""
        longer = torch.cat([before, x], 2)  # B C back+T
        after = longer[:, :, longer.shape[2] - self.back :]
        if x.shape[2] == 1 and not self.training:
            return x + self._frame(longer), after
        found = self.dropout(self.norm(self.convolution(longer), valid).relu())
        return x + self.mix(found), after

    def _frame(self, longer: Tensor) -> Tensor:
        """The same for one frame as two matrix products, which is faster: [B, C, back+1] -> [B, C, 1]."""
        taps = longer[:, :, :: self.dilation].flatten(1)  # B 3C
        found = linear(taps, *folded(self.convolution, self.norm)).relu()
        return linear(found, self.mix.weight.flatten(1), self.mix.bias).unsqueeze(2)


def folded(layer: nn.Conv1d, norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Weight [out, in * kernel] and bias [out] of a convolution without bias, with the normalization after it."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return layer.weight.flatten(1) * scale.unsqueeze(1), norm.bias - norm.running_mean * scale


class CausalNet(nn.Module):
    """Base class of networks with an output per frame. Subclasses define `state_shapes`, `forward_head`, `advance`."""

    chunk = 1
    joints: int
    dimensions: int

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the named state of `step`, zeros at a reset; -1 denotes the batch."""
        raise NotImplementedError

    def advance(
        self, skeleton: Tensor, mask: Tensor | None, state: Sequence[Tensor], valid: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """[B, t, J, D] -> features after every frame [B, t, C], and the state after the last one."""
        raise NotImplementedError

    def advance_layers(
        self, skeleton: Tensor, mask: Tensor | None, state: Sequence[Tensor], valid: Tensor | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Like `advance`, with the outputs of every layer, the features last."""
        features, after = self.advance(skeleton, mask, state, valid)
        return [features], after

    def forward_head(self, features: Tensor) -> Tensor:
        """Features [..., C] -> logits [..., N]."""
        raise NotImplementedError

    def step(self, skeleton: Tensor, mask: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """The next frames [B, t, J, D], [B, t, J] and the state -> logits [B, N] after the last one, the new state."""
        features, after = self.advance(skeleton, mask, state)
        return self.forward_head(features[:, -1]), *after

    def steps(self, skeleton: Tensor, mask: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Like `step`, with the logits after each of the frames, [B, t, N]."""
        features, after = self.advance(skeleton, mask, state)
        return self.forward_head(features), *after

    def forward_steps(self, skeleton: Tensor, mask: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        """Logits after every frame [B, T, N]; those past a clip's length are meaningless."""
        return self.forward_head(self.forward_layers(skeleton, mask, lengths)[-1])

    def forward_features(self, skeleton: Tensor, mask: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        """Features [B, C] after the last frame."""
        features = self.forward_layers(skeleton, mask, lengths)[-1]  # B T C
        if lengths is None:
            return features[:, -1]
        last = (lengths - 1).clamp(min=0).reshape(-1, 1, 1).expand(-1, 1, features.shape[2])
        return features.gather(1, last)[:, 0]

    def forward(self, skeleton: Tensor, mask: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        return self.forward_head(self.forward_features(skeleton, mask, lengths))

    def forward_layers(
        self, skeleton: Tensor, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> list[Tensor]:
        """The outputs of every layer after every frame, [B, T, C] each."""
        state = [
            skeleton.new_zeros([skeleton.shape[0] if n == -1 else n for n in shape])
            for shape in self.state_shapes.values()
        ]
        frames = torch.arange(skeleton.shape[1], device=skeleton.device)
        valid = None if lengths is None else frames < lengths.unsqueeze(1)  # B T
        return self.advance_layers(skeleton, mask, state, valid)[0]


class CausalTcn(CausalNet):
    """Frames -> linear, BN, ReLU -> causal blocks -> classes, after every frame."""

    def __init__(
        self,
        *,
        classes: int,
        joints: int,
        dimensions: int = 3,
        width: int = 128,
        dilations: Sequence[int] = (1, 2, 4, 8, 16),
        dropout: float = 0.2,
        centered: bool = False,
    ) -> None:
        super().__init__()
        self.centered = centered
        first, second = pairs(joints)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)
        self.joints, self.dimensions = joints, dimensions
        self.inputs = nn.Conv1d(joints * (3 * dimensions + 1) + len(first), width, 1, bias=False)
        self.norm = FrameNorm(width)
        self.blocks = nn.ModuleList(CausalBlock(width, dilation, dropout) for dilation in dilations)
        self.last = FrameNorm(width)
        self.head = SkeletonClassifier(width, classes, dropout)

    first: Tensor
    second: Tensor

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        width = self.inputs.out_channels
        layers = {f"layer{i}": (-1, width, _back(block)) for i, block in enumerate(self.blocks)}
        return {"points": (-1, FAST, self.joints, self.dimensions), "seen": (-1, FAST, self.joints), **layers}

    def reset_classifier(self, classes: int) -> None:
        """Replaces the last layer with a new, untrained one for `classes` classes."""
        self.head.reset(classes)

    def forward_head(self, features: Tensor) -> Tensor:
        return self.head(features)  # type: ignore[no-any-return]

    def advance(
        self, skeleton: Tensor, mask: Tensor | None, state: Sequence[Tensor], valid: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        layers, after = self.advance_layers(skeleton, mask, state, valid)
        return layers[-1], after

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """Channels of the outputs of `forward_layers`."""
        return (self.inputs.out_channels,) * (len(self.blocks) + 1)

    def advance_layers(
        self, skeleton: Tensor, mask: Tensor | None, state: Sequence[Tensor], valid: Tensor | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        points, seen = masked(skeleton, mask)
        points, seen = torch.cat([state[0], points], 1), torch.cat([state[1], seen], 1)  # B FAST+t J D
        x = self._first(self._frames(points, seen), valid)
        after = [points[:, points.shape[1] - FAST :], seen[:, seen.shape[1] - FAST :]]
        layers = []
        for block, before in zip(self.blocks, state[2:], strict=True):
            x, left = block(x, before, valid)
            after.append(left)
            layers.append(x.transpose(1, 2))
        return [*layers, self.last(x, valid).relu().transpose(1, 2)], after

    def _first(self, frames: Tensor, valid: Tensor | None) -> Tensor:
        """The first layer: [B, t, inputs] -> [B, C, t]."""
        if frames.shape[1] == 1 and not self.training:
            return linear(frames, *folded(self.inputs, self.norm)).relu().transpose(1, 2)
        return self.norm(self.inputs(frames.transpose(1, 2)), valid).relu()

    def _frames(self, points: Tensor, seen: Tensor) -> Tensor:
        """The input features of every frame but the first FAST, which only serve the movement: [B, t, inputs]."""
        now, there = points[:, FAST:], seen[:, FAST:]
        parts = [
            (centered(now, there) if self.centered else now).flatten(2),
            moved(points[:, FAST - SLOW : -SLOW], now, seen[:, FAST - SLOW : -SLOW], there).flatten(2),
            moved(points[:, :-FAST], now, seen[:, :-FAST], there).flatten(2),
            distances(now, there, self.first, self.second),
            there,
        ]
        return torch.cat(parts, 2)


def _back(block: nn.Module) -> int:
    assert isinstance(block, CausalBlock)
    return block.back
