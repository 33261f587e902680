"""Fusion of depth and color (Kazakos, section 4.3.3): of outputs (FusePred-Net) and of two streams (Fuse-Net).

hand float32 [B, 4, H, W] (depth, R, G, B) -> joints [B, J, 3] in [-1, 1]. Each stream is Depth-Net. Input fusion
(RGBD-Net) needs no extra code: it is Depth-Net on 4 channels. At 128 x 128, hidden 4096 and 14 joints FusePred-Net
has 303.81 million parameters (both networks); Fuse-Net joined by 1 x 1 convolution after conv4 has 151.98 million.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from gesta.models.layers import he_initialized
from gesta.models.pose_layers import PlainPose, PoseNet, made, specs, through
from gesta.models.pose_nets import DEPTH_NET

WEIGHTS = ("fixed", "per_output", "learned")


class ScoreFusion(PoseNet):
    """FusePred-Net: w * Depth-Net + (1 - w) * RGB-Net, each output with its own w.

    fixed: 0.5. per_output: the inverse of each network's mean squared validation error of that output, set after
    training. learned: by gradient descent, after both networks, which are trained in turn, each to its best epoch.
    """

    share: Tensor

    def __init__(self, *, joints: int, size: int, hidden: int, dropout: float, weights: str = "fixed") -> None:
        super().__init__()
        if weights not in WEIGHTS:
            raise ValueError(f"no weights {weights!r}; choose from {', '.join(WEIGHTS)}")
        self.joints, self.weights = joints, weights
        plain = {"joints": joints, "size": size, "hidden": hidden, "dropout": dropout}
        self.depth = PlainPose(DEPTH_NET, channels=1, **plain)  # type: ignore[arg-type]
        self.color = PlainPose(DEPTH_NET, channels=3, **plain)  # type: ignore[arg-type]
        if weights == "learned":
            self.logit = nn.Parameter(torch.zeros(joints, 3))
        else:
            self.register_buffer("share", torch.full((joints, 3), 0.5))

    def forward(self, hand: Tensor) -> Tensor:
        return self._joined(*self.streams(hand))

    def streams(self, hand: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs of the depth and the color network, each [B, J, 3]."""
        return self.depth(hand[:, :1]), self.color(hand[:, 1:])

    def parts(self) -> Iterator[tuple[str, PoseNet]]:
        yield "depth", OnChannels(self.depth, 0, 1)
        yield "color", OnChannels(self.color, 1, 4)
        if self.weights == "learned":
            streams = nn.ModuleList([self.depth, self.color]).requires_grad_(False)
            yield "weights", FixedStreams(self)
            streams.requires_grad_(True)

    @torch.no_grad()
    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        if self.weights != "per_output":
            return
        self.eval()
        errors = torch.zeros(2, self.joints, 3, device=self.share.device)
        for hand, truth in batches:
            for number, found in enumerate(self.streams(hand)):
                errors[number] += (found - truth).square().sum(0)
        self.share.copy_(errors[1] / errors.sum(0).clamp(min=1e-12))

    def _joined(self, depth: Tensor, color: Tensor) -> Tensor:
        share = torch.sigmoid(self.logit) if self.weights == "learned" else self.share  # J 3
        return share * depth + (1 - share) * color


class OnChannels(PoseNet):
    """A network that sees only the channels from `first` up to `stop`."""

    def __init__(self, network: PoseNet, first: int, stop: int) -> None:
        super().__init__()
        self.network, self.first, self.stop = network, first, stop
        self.joints = network.joints

    def forward(self, hand: Tensor) -> Tensor:
        joints: Tensor = self.network(hand[:, self.first : self.stop])
        return joints


class FixedStreams(PoseNet):
    """A fusion whose networks are frozen, without dropout: only its weights are trained."""

    def __init__(self, fusion: ScoreFusion) -> None:
        super().__init__()
        self.fusion, self.joints = fusion, fusion.joints

    def train(self, mode: bool = True) -> FixedStreams:
        super().train(mode)
        self.fusion.depth.eval()
        self.fusion.color.eval()
        return self

    def forward(self, hand: Tensor) -> Tensor:
        joints: Tensor = self.fusion(hand)
        return joints


class Interleaved(nn.Module):
    """Two tensors [B, D, ...] -> [B, 2D, ...], interleaved by channel: a1 b1 a2 b2 ..."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.stack([a, b], dim=2).flatten(1, 2)


class Mixed(nn.Module):
    """Interleaved, then a 1 x 1 convolution (or a linear layer) back to D."""

    def __init__(self, width: int, flat: bool) -> None:
        super().__init__()
        self.join = Interleaved()
        self.mix = nn.Linear(2 * width, width) if flat else nn.Conv2d(2 * width, width, 1)
        nn.init.kaiming_normal_(self.mix.weight, nonlinearity="linear")
        nn.init.zeros_(self.mix.bias)  # type: ignore[arg-type]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        mixed: Tensor = self.mix(self.join(a, b))
        return mixed


class Largest(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.maximum(a, b)


class Summed(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


class Gated(nn.Module):
    """g * a + (1 - g) * b, a gate per position that sees both (Arevalo et al. 2017, "Gated multimodal units")."""

    def __init__(self, width: int, flat: bool) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * width, width) if flat else nn.Conv2d(2 * width, width, 1)
        nn.init.zeros_(self.gate.weight)  # starts as the mean of the two
        nn.init.zeros_(self.gate.bias)  # type: ignore[arg-type]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        gate = torch.sigmoid(self.gate(torch.cat([a, b], 1)))
        return gate * a + (1 - gate) * b


class Attention(nn.Module):
    """Per-channel weights of the two streams: a softmax over the streams, computed from the spatial means of their
    sum (Li et al. 2019, "Selective kernel networks").
    """

    def __init__(self, width: int, flat: bool, reduction: int = 4) -> None:
        super().__init__()
        self.flat = flat
        self.squeeze = nn.Linear(width, max(8, width // reduction))
        self.shares = nn.Linear(self.squeeze.out_features, 2 * width)
        he_initialized(self)
        nn.init.zeros_(self.shares.weight)  # starts as the mean of the two

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        both = a + b
        seen = both if self.flat else both.mean((2, 3))
        shares = self.shares(self.squeeze(seen).relu()).unflatten(1, (2, -1)).softmax(1)  # B 2 D
        of_a, of_b = (s if self.flat else s[..., None, None] for s in shares.unbind(1))
        return of_a * a + of_b * b


FUNCTIONS: dict[str, Callable[[int, bool], nn.Module]] = {
    "max": lambda width, flat: Largest(),  # noqa: ARG005
    "sum": lambda width, flat: Summed(),  # noqa: ARG005
    "concatenation": lambda width, flat: Interleaved(),  # noqa: ARG005
    "convolution": Mixed,
    "gated": Gated,
    "attention": Attention,
}
"""Ways to join two streams, by name: function(width D, whether they are flat) -> module of two tensors."""


class FuseNet(PoseNet):
    """Two streams up to the layer `after` (past its ReLU), joined by `function`, then one network.

    With several layers the depth stream continues from the joined features after each, the color stream from its own
    (Hazirbas et al. 2016, "FuseNet"); after the last, one network remains.
    """

    def __init__(
        self,
        *,
        joints: int,
        size: int,
        hidden: int,
        dropout: float,
        function: str = "convolution",
        after: str | Sequence[str] = "conv4",
    ) -> None:
        super().__init__()
        if function not in FUNCTIONS:
            raise ValueError(f"no function {function!r}; choose from {', '.join(FUNCTIONS)}")
        self.joints = joints
        *earlier, last = [after] if isinstance(after, str) else after
        doubled = last if function == "concatenation" else None
        plain = {"size": size, "hidden": hidden, "dropout": dropout, "outputs": 3 * joints}
        depth = specs(DEPTH_NET, channels=1, **plain)  # type: ignore[arg-type]
        color = specs(DEPTH_NET, channels=3, **plain)  # type: ignore[arg-type]
        names = [name for name, _ in depth[:-1]]
        _refuse(names, earlier, last, function)
        rest = specs(DEPTH_NET, channels=1, doubled_after=doubled, **plain)  # type: ignore[arg-type]
        cut = names.index(last) + 1
        self.depth, self.color, self.rest = made(depth[:cut]), made(color[:cut]), made(rest[cut:])
        joins = {name: FUNCTIONS[function](_width(names, name, hidden), name.startswith("fc")) for name in earlier}
        self.joins = nn.ModuleDict(joins)
        self.join = FUNCTIONS[function](_width(names, last, hidden), last.startswith("fc"))

    def forward(self, hand: Tensor) -> Tensor:
        depth, color = hand[:, :1], hand[:, 1:]
        for name, layer in self.depth.items():
            depth, color = layer(depth), self.color[name](color)
            if name in self.joins:
                depth = self.joins[name](depth, color)
        joined = self.join(depth, color)
        return torch.tanh(through(self.rest, joined)).unflatten(1, (self.joints, 3))  # B J 3


def _refuse(names: Sequence[str], earlier: Sequence[str], last: str, function: str) -> None:
    """Raises ValueError for layers that do not exist, are out of order, or cannot be joined by this function."""
    for after in (*earlier, last):
        if after not in names:
            raise ValueError(f"no layer {after!r} to join after; choose from {', '.join(names)}")
    order = [names.index(name) for name in (*earlier, last)]
    if order != sorted(set(order)):
        raise ValueError(f"model.after: {', '.join([*earlier, last])} must follow one another, from the image on")
    if earlier and function == "concatenation":
        raise ValueError(
            "model.function=concatenation doubles the channels, so it joins after one layer only; use another function"
        )


def _width(names: Sequence[str], after: str, hidden: int) -> int:
    """Channels, or features, after a layer of Depth-Net."""
    if after.startswith("fc"):
        return hidden
    widths = [int(part) for part in DEPTH_NET.split() if part != "P"]
    convolutions = [name for name in names[: names.index(after) + 1] if name.startswith("conv")]
    return widths[len(convolutions) - 1]
