"""Shared code of the hand pose networks: the base class, the loss of the thesis, and networks built from a plan.

Kazakos, chapter 4: 3 x 3 convolutions with stride 1 and padding that keeps the size, ReLU, max pooling 2 x 2, two fully
connected layers with dropout, 3J outputs with tanh. In a plan like "32:7 P4 64:5 P 128", 32:7 is a convolution of width
32 and kernel 7 (default 3), P4 is 4 x 4 pooling, and P is 2 x 2 pooling. The layers are called conv1, conv2,
pool1, ... fc1, fc2, out.

Letters: B frames, C channels, H = W size of the patch, J joints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from gesta.models.layers import he_initialized

Spec = tuple[str, Callable[[], nn.Module]]
"""A layer's name and factory: a network builds only the layers it uses."""


class PoseNet(nn.Module):
    """The base class: `forward(hand float32 [B, C, H, W]) -> joints float32 [B, J, 3]`, in units of half a cube."""

    joints: int

    def learn(self, hand: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """(joints [B, J, 3], loss) of a training batch; `truth` [B, J, 3]."""
        found = self(hand)
        return found, joint_loss(found, truth)

    def parts(self) -> Iterator[tuple[str, PoseNet]]:
        """The parts to train in turn, by name, each to its own best epoch; most networks have one part."""
        yield "training", self

    def start_from(self, poses: Tensor) -> None:
        """Initializes the network from the training poses [N, J, 3]; most networks need nothing."""

    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Called once after training, with the validation batches (hand, truth); most networks need nothing."""


def joint_loss(found: Tensor, truth: Tensor) -> Tensor:
    """1 / (2J) * squared error of each frame, averaged over frames (Kazakos, eq. 4.14)."""
    joints = truth.shape[1]
    return (found - truth).square().sum(dim=(1, 2)).mean() / (2 * joints)


def specs(
    plan: str,
    *,
    channels: int,
    size: int,
    hidden: int,
    dropout: float,
    outputs: int,
    doubled_after: str | None = None,
) -> list[Spec]:
    """The layers of a plan in order. The layer after `doubled_after` gets twice the input channels (or features).

    Raises ValueError if the patch is too small for the pooling layers, or there is no such layer.
    """
    found: list[Spec] = []
    convolutions = pools = 0
    factor = 1 if doubled_after is None else 2
    for part in plan.split():
        if part.startswith("P"):
            window = int(part[1:] or 2)
            pools, size = pools + 1, size // window
            found.append((f"pool{pools}", partial(nn.MaxPool2d, window)))
        else:
            width, kernel = _width_kernel(part)
            convolutions += 1
            found.append((f"conv{convolutions}", _convolution(channels, width, kernel)))
            channels = width
        if found[-1][0] == doubled_after:
            channels *= factor
    if size < 1:
        raise ValueError("the patch is too small for the poolings of this network")
    features = channels * size * size
    for name in ("fc1", "fc2"):
        found.append((name, _connected(features, hidden, dropout)))
        features = hidden * (factor if name == doubled_after else 1)
    found.append(("out", partial(nn.Linear, features, outputs)))
    if doubled_after is not None and doubled_after not in [name for name, _ in found[:-1]]:
        raise ValueError(f"no layer {doubled_after!r}; choose from {', '.join(name for name, _ in found[:-1])}")
    return found


def _width_kernel(part: str) -> tuple[int, int]:
    width, _, kernel = part.partition(":")
    return int(width), int(kernel or 3)


def _convolution(channels: int, width: int, kernel: int) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Conv2d(channels, width, kernel, padding=kernel // 2), nn.ReLU(inplace=True))


def _connected(features: int, hidden: int, dropout: float) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Flatten(), nn.Linear(features, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout))


def made(layers: Sequence[Spec]) -> nn.ModuleDict:
    """The layers by name, He-initialized; the output starts near 0, where tanh is linear."""
    modules = nn.ModuleDict({name: make() for name, make in layers})
    he_initialized(modules)
    if "out" in modules:
        nn.init.normal_(modules["out"].weight, std=0.001)  # type: ignore[arg-type]
    return modules


def through(modules: nn.ModuleDict, maps: Tensor) -> Tensor:
    """Applies the layers in order."""
    for module in modules.values():
        maps = module(maps)
    return maps


class PlainPose(PoseNet):
    """The network of a plan: [B, C, H, W] -> [B, J, 3] in [-1, 1]."""

    def __init__(self, plan: str, *, joints: int, channels: int, size: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.joints = joints
        self.layers = made(
            specs(plan, channels=channels, size=size, hidden=hidden, dropout=dropout, outputs=3 * joints)
        )

    def forward(self, hand: Tensor) -> Tensor:
        return torch.tanh(through(self.layers, hand)).unflatten(1, (self.joints, 3))  # B J 3
