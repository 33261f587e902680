"""I3D (Carreira and Zisserman 2017, "Quo vadis, action recognition?", figure 3; the tutorial's point 9): Inception-v1
with kernels inflated along time, with the tensor names of the PyTorch files trained on Kinetics.

In: clip uint8 or float 0..255 [B, S, C, T, H, W], 1 x 3 x 64 x 224 x 224 as published. Out: logits [B, N].
Parameters: 12,287,264 without the classifier; 12,697,264 with 400 classes.
Two ways of padding: "same", as in the published files (TensorFlow's: if odd, one more at the end), and
"inception_v1", as in gesta.models.inception_v1, for inflation. In time: zeros, or the first and last frame repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.backbone import SIGNED, normalized
from gesta.models.c3d import volume
from gesta.models.inception_v1 import MIXED, STEM, InceptionV1
from gesta.models.layers import he_initialized, scaled
from gesta.models.weights import WeightsError, length_of, load_tensors, read_tensors

Padding = Literal["same", "inception_v1"]
TimePadding = Literal["zeros", "repeat"]

NAMES = {
    "conv1": "Conv3d_1a_7x7",
    "conv2": "Conv3d_2b_1x1",
    "conv3": "Conv3d_2c_3x3",
    "inception3a": "Mixed_3b",
    "inception3b": "Mixed_3c",
    "inception4a": "Mixed_4b",
    "inception4b": "Mixed_4c",
    "inception4c": "Mixed_4d",
    "inception4d": "Mixed_4e",
    "inception4e": "Mixed_4f",
    "inception5a": "Mixed_5b",
    "inception5b": "Mixed_5c",
}
"""Parts of Inception-v1 -> parts of I3D."""
BRANCHES = {
    "branch1": "b0",
    "branch2.0": "b1a",
    "branch2.1": "b1b",
    "branch3.0": "b2a",
    "branch3.1": "b2b",
    "branch4.1": "b3b",
}
POOLS = {
    "Conv3d_2b_1x1": ((1, 3, 3), (1, 2, 2)),
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}
"""Pooling (kernel, stride) before a part."""

Triple = tuple[int, int, int]


def same(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding (before, after) that gives ceil(length / stride) outputs."""
    total = max(kernel - (length % stride or stride), 0)
    return total // 2, total - total // 2


class Unit(nn.Module):
    """3D convolution without bias, batch normalization (eps 0.001), ReLU."""

    def __init__(
        self, before: int, now: int, kernel: int, stride: int = 1, *, padding: Padding, time: TimePadding
    ) -> None:
        super().__init__()
        self.padding, self.time = padding, time
        self.conv3d = nn.Conv3d(before, now, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(now, eps=0.001, momentum=0.01)

    def forward(self, maps: Tensor) -> Tensor:
        return self.bn(self.conv3d(self._padded(maps))).relu()

    def _padded(self, maps: Tensor) -> Tensor:
        kernel, stride = self.conv3d.kernel_size[0], self.conv3d.stride[0]
        if kernel == 1:
            return maps
        if self.padding == "same":
            (t0, t1), (h0, h1), (w0, w1) = (same(n, kernel, stride) for n in maps.shape[2:])
        else:
            t0 = t1 = h0 = h1 = w0 = w1 = kernel // 2
        if self.time == "zeros":
            return F.pad(maps, (w0, w1, h0, h1, t0, t1))
        maps = F.pad(maps, (0, 0, 0, 0, t0, t1), mode="replicate")
        return F.pad(maps, (w0, w1, h0, h1))


def pooled(maps: Tensor, kernel: Triple, stride: Triple, padding: Padding) -> Tensor:
    """Max pooling; zero padding makes no difference after a ReLU."""
    if padding == "inception_v1":
        return F.max_pool3d(maps, kernel, stride, ceil_mode=True)
    (t, h, w) = (same(n, k, s) for n, k, s in zip(maps.shape[2:], kernel, stride, strict=True))
    return F.max_pool3d(F.pad(maps, (*w, *h, *t)), kernel, stride)


class Mixed(nn.Module):
    """Four parallel branches, as in Inception-v1."""

    def __init__(self, before: int, maps: tuple[int, ...], padding: Padding, time: TimePadding) -> None:
        super().__init__()
        one, reduce3, three, reduce5, five, pool = maps
        self.b0 = Unit(before, one, 1, padding=padding, time=time)
        self.b1a = Unit(before, reduce3, 1, padding=padding, time=time)
        self.b1b = Unit(reduce3, three, 3, padding=padding, time=time)
        self.b2a = Unit(before, reduce5, 1, padding=padding, time=time)
        self.b2b = Unit(reduce5, five, 3, padding=padding, time=time)
        self.b3b = Unit(before, pool, 1, padding=padding, time=time)
        self.out_channels = one + three + five + pool

    def forward(self, maps: Tensor) -> Tensor:
        pool = F.max_pool3d(maps, 3, 1, padding=1)
        branches = (self.b0(maps), self.b1b(self.b1a(maps)), self.b2b(self.b2a(maps)), self.b3b(pool))
        return torch.cat(branches, 1)


class Logits(nn.Module):
    """The classifier, a 1 x 1 x 1 convolution in the published files."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(features, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(features, self.conv3d.weight.flatten(1), self.conv3d.bias)


class I3d(nn.Module):
    """Takes 8 or more frames of 32 or more pixels; `window`: frames per clip in a recipe."""

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 3,
        window: int = 64,
        width: float = 1.0,
        dropout: float = 0.5,
        padding: Padding = "same",
        time_padding: TimePadding = "zeros",
    ) -> None:
        super().__init__()
        self.window, self.padding = window, padding
        ways: dict[str, Any] = {"padding": padding, "time": time_padding}
        first, second, before = (scaled(full, width) for full in STEM)
        self.Conv3d_1a_7x7 = Unit(channels, first, 7, 2, **ways)
        self.Conv3d_2b_1x1 = Unit(first, second, 1, **ways)
        self.Conv3d_2c_3x3 = Unit(second, before, 3, **ways)
        for name, maps in MIXED.items():
            mixed = Mixed(before, tuple(scaled(full, width) for full in maps), **ways)
            self.add_module(NAMES[f"inception{name}"], mixed)
            before = mixed.out_channels
        self.dropout = nn.Dropout(dropout)
        self.logits = Logits(before, classes)
        he_initialized(self)

    def reset_classifier(self, classes: int) -> None:
        """Replaces the last layer with a new, untrained one for `classes` classes."""
        old = self.logits.conv3d
        self.logits = Logits(old.in_channels, classes).to(old.weight.device)

    def forward_features(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """[B, S, C, T, H, W] -> [B, 1024]: mean over the image and over windows of two steps in time."""
        maps = normalized(volume(clip), *SIGNED)
        for name in NAMES.values():
            if name in POOLS:
                maps = pooled(maps, *POOLS[name], self.padding)
            maps = self.get_submodule(name)(maps)
        steps = maps.mean((3, 4))  # B 1024 T/8
        if steps.shape[2] > 1:
            steps = F.avg_pool1d(steps, 2, 1)
        return steps.mean(2)

    def forward_head(self, features: Tensor) -> Tensor:
        return self.logits(self.dropout(features))

    def forward(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.forward_head(self.forward_features(clip, lengths))


def inflated(backbone: InceptionV1, *, width: float = 1.0, dropout: float = 0.5, window: int = 64) -> I3d:
    """I3D from the 2D network: kernels repeated along time and divided by their length, all else copied.

    A video of one repeated image gives the logits of the 2D network. `width`: the one `backbone` was built with.
    """
    channels = backbone.conv1.conv.in_channels
    network = I3d(
        classes=backbone.fc.out_features,
        channels=channels,
        window=window,
        width=width,
        dropout=dropout,
        padding="inception_v1",
        time_padding="repeat",
    )
    heads = ("fc.", *(f"{head}." for head in backbone.heads))
    plain = {name: tensor for name, tensor in backbone.state_dict().items() if not name.startswith(heads)}
    tensors = inflated_tensors(plain, network.state_dict())
    tensors["logits.conv3d.weight"] = backbone.fc.weight.detach()[:, :, None, None, None]
    tensors["logits.conv3d.bias"] = backbone.fc.bias.detach()
    load_tensors(network, tensors, "Inception-v1, inflated")
    return network


def inflated_tensors(plain: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Inception-v1's tensors without its heads -> I3D's; `own`: those of an I3D, for the temporal kernel lengths.

    Raises WeightsError naming tensors that have no counterpart in I3D.
    """
    tensors = {}
    strange = [name for name in plain if name.partition(".")[0] not in NAMES or _renamed(name) not in own]
    if strange:
        raise WeightsError(
            f"tensors that Inception-v1 does not have: {', '.join(strange)}. Give its file, or one of I3D."
        )
    for name, tensor in plain.items():
        target = _renamed(name)
        kernel = tensor.ndim == 4 and own[target].ndim == 5
        tensors[target] = _along_time(tensor, own[target]) if kernel else tensor
    return tensors


def _renamed(name: str) -> str:
    """conv1.conv.weight -> Conv3d_1a_7x7.conv3d.weight, inception3a.branch2.0.bn.bias -> Mixed_3b.b1a.bn.bias."""
    part, _, rest = name.partition(".")
    branch = next((b for b in BRANCHES if rest.startswith(f"{b}.")), None)
    inner = rest if branch is None else BRANCHES[branch] + rest[len(branch) :]
    return f"{NAMES[part]}.{inner}".replace(".conv.", ".conv3d.")


def _along_time(kernel: Tensor, target: Tensor) -> Tensor:
    """[O, I, h, w] -> [O, I, t, h, w], divided by t."""
    frames = target.shape[2]
    return kernel.unsqueeze(2).repeat(1, 1, frames, 1, 1) / frames


def load_i3d(path: Path) -> I3d:
    """I3D with weights named as in the PyTorch files (Kinetics: 400 classes), RGB or flow (two channels).

    Raises WeightsError listing every tensor that does not fit.
    """
    tensors = read_tensors(path)
    channels = length_of(tensors, "Conv3d_1a_7x7.conv3d.weight", 1, 3)
    network = I3d(classes=length_of(tensors, "logits.conv3d.weight", 0, 400), channels=channels)
    load_tensors(network, tensors, str(path))
    return network
