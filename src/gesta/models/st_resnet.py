"""Spatio-temporal residual network (Iqbal, chapter 4; spec 4): a ResNet over T frames with recurrent skip connections.

The output of an earlier layer at frame t-1 is added to the output of a later layer at frame t, so that the network
learns a temporal residual; the output is the softmax at a sequence's last frame. Because every connection leads
forward through the layers, all frames are processed together, layer by layer; nothing is unrolled frame by frame, and
frames shared by windows are computed once.

In: clip uint8 or float 0..255 [B, S, C, F, H, W]; lengths [B] frames. Out: logits [B, N] = log of the mean
probability over the sequences. Parameters at depth 50, N = 101: 23.715 M, plus those of the connections.
A clip shorter than the window is zero-padded. Sequences that end in the padding are ignored, and the padding is
replaced by copies of the last frame, for the batch statistics and for clips shorter than the context.

Positions are names of convolutions and normalizations in gesta.models.resnet, and any two can be connected. The
document counts them from 0 (`position`), and within a block the projection and its normalization come first, as in the
Caffe network they were counted in: only then do all its pairs connect maps of equal shape. Depth 18 has 0 to 39. Its
pairs for depth 50:

| document | from (frame t-1) | to (frame t) | maps |
|---|---|---|---|
| 5-11 | layer1.0.bn1 | layer1.1.bn1 | 64 -> 64 |
| 49-55 | layer3.0.downsample.1 | layer3.0.bn3 | 1024 -> 1024 |
| 86-92 | layer4.0.downsample.0 | layer4.0.conv3 | 2048 -> 2048 |
| 98-104 | layer4.1.conv3 | layer4.2.conv3 | 2048 -> 2048 |

Up to commit 2895dc4 the projection was counted last; recipes in older bundles are read accordingly (gesta.bundle.io).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from gesta.models.c3d import volume
from gesta.models.resnet import ResNet, plain

Kind = Literal["identity", "linear", "nonlinear"]


@dataclass(frozen=True)
class Connection:
    """`source` at frame t - `delay` is added to `target` at frame t: unchanged, or after a 1 x 1 convolution
    (linear), or one with ReLU (nonlinear).
    """

    source: str
    target: str
    kind: Kind = "identity"
    delay: int = 1


POSITIONS: dict[str, tuple[str, str]] = {
    "5-11": ("layer1.0.bn1", "layer1.1.bn1"),
    "49-55": ("layer3.0.downsample.1", "layer3.0.bn3"),
    "86-92": ("layer4.0.downsample.0", "layer4.0.conv3"),
    "98-104": ("layer4.1.conv3", "layer4.2.conv3"),
}
"""The document's pairs in ResNet-50 (tables 5.4 to 5.7)."""


def layer_names(network: ResNet, projection_last: Collection[str] = ()) -> list[str]:
    """Names of all convolutions and batch normalizations in the document's order and numbering.

    `projection_last`: blocks whose projection comes after the residual instead.
    """
    found = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    places = {_block(name): index for index, name in reversed(list(enumerate(found)))}  # start of each block
    return sorted(found, key=lambda n: (places[_block(n)], _projects(n) == (_block(n) in projection_last)))  # stable


def _block(name: str) -> str:
    """layer3.0.downsample.1 -> layer3.0."""
    return ".".join(name.split(".")[:2])


def _projects(name: str) -> bool:
    return ".downsample." in name


def _beside(one: str, other: str) -> bool:
    """Whether exactly one of two layers of a block is in the projection: they do not feed each other."""
    return _block(one) == _block(other) and _projects(one) != _projects(other)


def position(network: ResNet, place: str | int) -> str:
    """The name of a layer given by name or by the document's number. Raises ValueError with the list if unknown."""
    names = layer_names(network)
    number = int(place) if isinstance(place, int) or place.isdecimal() else None
    if number is not None and number < len(names):
        return names[number]
    if place not in names:
        raise ValueError(f"no position {place!r}; choose from {_numbered(names, names)}")
    return str(place)


def _numbered(names: Sequence[str], numbers: Sequence[str]) -> str:
    return ", ".join(f"{numbers.index(name)} {name}" for name in names)


def chain(places: Sequence[tuple[str, str]], kind: Kind = "identity") -> list[Connection]:
    """A chain of connections: context 2 has one, context 3 two, context 5 four (table 5.7)."""
    return [Connection(source, target, kind) for source, target in places]


def special3(source: str, target: str, kind: Kind = "identity") -> list[Connection]:
    """One connection, and an identity from frame t-2 directly to the same target (table 5.7)."""
    return [Connection(source, target, kind), Connection(source, target, "identity", delay=2)]


class Adapter(nn.Module):
    """The mapping of a connection: identity, or a 1 x 1 convolution with the stride required by the target's size."""

    def __init__(self, kind: Kind, before: int, now: int, stride: int) -> None:
        super().__init__()
        self.rectified = kind == "nonlinear"
        self.convolution = None if kind == "identity" else nn.Conv2d(before, now, 1, stride)

    def forward(self, maps: Tensor) -> Tensor:
        if self.convolution is None:
            return maps
        maps = self.convolution(maps)
        return maps.relu() if self.rectified else maps


class StResNet(nn.Module):
    """A ResNet and its connections. Without connections it is the network on single frames (context 1).

    `overlap`: sequences start at every frame; else they are disjoint, m = F // context of them.
    `scale` multiplies the outputs of the connections; 0 gives the network on single frames, for tests.
    """

    def __init__(
        self,
        network: ResNet,
        connections: Sequence[Connection] = (),
        *,
        overlap: bool = False,
        window: int = 16,
    ) -> None:
        super().__init__()
        self.network = network
        self.window, self.overlap, self.scale = window, overlap, 1.0
        self.connections = tuple(
            Connection(position(network, c.source), position(network, c.target), c.kind, c.delay) for c in connections
        )
        late = {_block(c.target) for c in self.connections if _projects(c.target) and _beside(c.source, c.target)}
        for block in late:
            network.get_submodule(block).projection_last = True  # type: ignore[assignment]
        names = layer_names(network, late)
        for c in self.connections:
            if names.index(c.source) >= names.index(c.target):
                behind = _numbered(names[names.index(c.source) + 1 :], layer_names(network)) or "none"
                raise ValueError(
                    f"a connection must lead forward, but {c.source} is not before {c.target}. After it are {behind}"
                )
            if c.delay < 1:
                raise ValueError(f"a connection must bring an earlier frame: delay is {c.delay}, expected 1 or more")
        self.context = context(names, self.connections)
        if window < self.context:
            raise ValueError(f"the context is {self.context} frames, so a clip needs at least as many, not {window}")
        sizes = _sizes(network)
        self.adapters = nn.ModuleList(_adapter(c, sizes) for c in self.connections)

    def reset_classifier(self, classes: int) -> None:
        """Replaces the last layer with a new, untrained one for `classes` classes."""
        self.network.reset_classifier(classes)

    def forward_frames(self, frames: Tensor) -> Tensor:
        """Sequences [B, T, C, H, W] -> features of every frame [B, T, D]; zeros before the first one."""
        time = frames.shape[1]
        kept: dict[str, Tensor] = {}

        def run(name: str, layer: nn.Module, maps: Tensor) -> Tensor:
            maps = plain(name, layer, maps)
            for connection, adapter in zip(self.connections, self.adapters, strict=True):
                if connection.target == name and connection.delay < time:
                    brought = self.scale * adapter(_earlier(kept[connection.source], time, connection.delay))
                    maps = _added(maps, brought, time, connection.delay)
            if any(connection.source == name for connection in self.connections):
                kept[name] = maps
            return maps

        features = self.network.watched(frames.flatten(0, 1), run)  # B*T D
        return features.unflatten(0, (-1, time))

    def forward_sequences(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features at the last frame of each sequence, [B, m, D]."""
        frames = _filled(clip, lengths_of(clip, lengths))  # B F C H W
        if self.overlap:
            return self.forward_frames(frames)[:, self.context - 1 :]  # frames shared by windows: once
        count = frames.shape[1] // self.context
        sequences = frames[:, : count * self.context].unflatten(1, (count, self.context)).flatten(0, 1)  # B*m T C H W
        return self.forward_frames(sequences)[:, -1].unflatten(0, (-1, count))

    def forward_naive(self, clip: Tensor) -> Tensor:
        """`forward_sequences` with every overlapping sequence computed separately: the baseline for sharing."""
        frames = _filled(clip, lengths_of(clip))  # B F C H W
        starts = range(0, frames.shape[1] - self.context + 1, 1 if self.overlap else self.context)
        return torch.stack([self.forward_frames(frames[:, s : s + self.context])[:, -1] for s in starts], 1)

    def forward_windows(self, clip: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits of each sequence, [B, m, N], and whether it ends within the clip, [B, m]: training examples."""
        logits = self.forward_head(self.forward_sequences(clip, lengths))
        return logits, self._weights(logits, lengths_of(clip, lengths)).squeeze(-1) > 0

    def forward_features(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The mean of the sequences' features, [B, D]: one vector per clip."""
        features = self.forward_sequences(clip, lengths)
        weight = self._weights(features, lengths_of(clip, lengths))
        return (features * weight).sum(1)

    def forward_head(self, features: Tensor) -> Tensor:
        return self.network.forward_head(features)

    def forward(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        logits = self.forward_head(self.forward_sequences(clip, lengths))
        return (logits.log_softmax(-1) + self._weights(logits, lengths_of(clip, lengths)).log()).logsumexp(1)

    def _weights(self, sequences: Tensor, lengths: Tensor) -> Tensor:
        """[B, m, 1]: 1 / number of sequences that end within a clip, else 0; the first always counts."""
        starts = torch.arange(sequences.shape[1], device=sequences.device) * (1 if self.overlap else self.context)
        ends = starts + self.context - 1  # the last frame of each, 0-based
        valid = ((ends < lengths.unsqueeze(1)) | (starts == 0)).to(sequences.dtype)
        return (valid / valid.sum(1, keepdim=True)).unsqueeze(-1)


def lengths_of(clip: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Frames of each clip [B, S, C, F, H, W] up to the last that is not all zero, at least 1 and at most `lengths`."""
    shown = volume(clip).amax((1, 3, 4)) != 0  # B F
    found = (shown * torch.arange(1, shown.shape[1] + 1, device=clip.device)).amax(1).clamp(min=1)
    return found if lengths is None else torch.minimum(found, lengths)


def _filled(clip: Tensor, lengths: Tensor) -> Tensor:
    """[B, S, C, F, H, W] -> frames [B, F, C, H, W], those past a clip's length replaced by its last frame."""
    frames = volume(clip).transpose(1, 2)  # B F C H W
    time = torch.arange(frames.shape[1], device=clip.device)
    place = torch.minimum(time, lengths.unsqueeze(1) - 1)  # B F
    first = torch.arange(frames.shape[0], device=clip.device).unsqueeze(1) * frames.shape[1]  # B 1
    return frames.flatten(0, 1)[(first + place).flatten()].unflatten(0, (-1, frames.shape[1]))


def context(names: Sequence[str], connections: Sequence[Connection]) -> int:
    """Number of frames that an output depends on: 1 plus the delays along the longest chain of connections.

    A connection continues another if its source is the other's target, or comes after it.
    """
    reach: list[int] = []
    ordered = sorted(connections, key=lambda c: names.index(c.source))
    for number, connection in enumerate(ordered):
        before = [reach[i] for i in range(number) if _feeds(names, ordered[i].target, connection.source)]
        reach.append(connection.delay + max(before, default=0))
    return 1 + max(reach, default=0)


def _feeds(names: Sequence[str], layer: str, later: str) -> bool:
    """Whether `later` is `layer` or depends on it; a block's projection is parallel to its convolutions."""
    return names.index(layer) <= names.index(later) and not _beside(layer, later)


def _earlier(maps: Tensor, time: int, delay: int) -> Tensor:
    """[B*T, C, H, W] -> all but the last `delay` frames, [B*(T-delay), C, H, W]."""
    return maps.unflatten(0, (-1, time))[:, : time - delay].flatten(0, 1)


def _added(maps: Tensor, brought: Tensor, time: int, delay: int) -> Tensor:
    """`brought` [B*(T-delay), ...] added to the frames from `delay` on."""
    frames = maps.unflatten(0, (-1, time))  # B T C H W
    later = frames[:, delay:] + brought.unflatten(0, (-1, time - delay))
    return torch.cat([frames[:, :delay], later], 1).flatten(0, 1)


def _sizes(network: ResNet) -> dict[str, tuple[int, int]]:
    """(channels, side) after every layer for an image of 64 pixels; found by a forward pass."""
    found: dict[str, tuple[int, int]] = {}

    def run(name: str, layer: nn.Module, maps: Tensor) -> Tensor:
        maps = plain(name, layer, maps)
        found[name] = (maps.shape[1], maps.shape[2])
        return maps

    was_training = network.training
    with torch.no_grad():
        weight = network.conv1.weight
        network.eval().watched(weight.new_zeros(1, weight.shape[1], 64, 64), run)
    network.train(was_training)
    return found


def _adapter(connection: Connection, sizes: dict[str, tuple[int, int]]) -> Adapter:
    (before, side), (now, target_side) = sizes[connection.source], sizes[connection.target]
    if connection.kind == "identity" and (before, side) != (now, target_side):
        names = list(sizes)
        behind = names[names.index(connection.source) + 1 :]
        fitting = ", ".join(name for name in behind if sizes[name] == (before, side)) or "none"
        raise ValueError(
            f"identity needs equal shapes: {connection.source} has {before} maps and {connection.target} {now}, "
            f"the size is {side} to {target_side}. Use linear or nonlinear; later positions of its shape: {fitting}"
        )
    return Adapter(connection.kind, before, now, side // target_side)


CHAINS: dict[int, tuple[tuple[str, str], ...]] = {
    18: (
        ("layer1.0.conv2", "layer1.1.conv2"),
        ("layer2.0.conv2", "layer2.1.conv2"),
        ("layer3.0.conv2", "layer3.1.conv2"),
        ("layer4.0.conv2", "layer4.1.conv2"),
    ),
    50: (
        ("layer3.3.conv3", "layer3.4.conv3"),
        ("layer3.4.conv3", "layer3.5.conv3"),
        ("layer4.0.conv3", "layer4.1.conv3"),
        ("layer4.1.conv3", "layer4.2.conv3"),
    ),
}
"""Pairs for contexts 2, 3 and 5, last ones first. Decision: the document names only 98-104, the last."""

CONTEXTS = ("1", "2", "3", "special3", "5")


def connections_for(depth: int, name: str, kind: Kind = "identity") -> list[Connection]:
    """The connections of a context of table 5.7, or of pairs of positions: "98-104", "layer4.0.bn2-layer4.1.bn2", or
    several separated by commas. `StResNet` checks that a network has these positions.

    Raises ValueError, with the list, if it is neither.
    """
    if "-" in name:
        places = [[place.strip() for place in pair.split("-")] for pair in name.split(",")]
        if any(len(pair) != 2 or not all(pair) for pair in places):
            raise ValueError(f"no pair of positions {name!r}: write A-B, such as 98-104, or several with commas")
        return chain([(source, target) for source, target in places], kind)
    if name not in CONTEXTS:
        known = ", ".join((*CONTEXTS, *(POSITIONS if depth == 50 else ())))
        raise ValueError(f"no context {name!r} with depth {depth}; choose from {known}, or A-B for any two positions")
    pairs = CHAINS[depth]
    if name == "special3":
        return special3(*pairs[-1], kind)
    count = int(name) - 1
    return chain(pairs[len(pairs) - count :], kind)


def st_resnet(
    depth: int,
    *,
    classes: int,
    channels: int = 3,
    window: int = 16,
    width: float = 1.0,
    dropout: float = 0.0,
    context: str = "2",
    kind: Kind = "identity",
    overlap: bool = False,
) -> StResNet:
    """ResNet-18 or 50 with a context of table 5.7, untrained; `channels`: streams times channels of a frame."""
    network = ResNet(depth, classes=classes, channels=channels, width=width, dropout=dropout)
    return StResNet(network, connections_for(depth, context, kind), overlap=overlap, window=window)
