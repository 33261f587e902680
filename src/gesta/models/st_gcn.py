"""Spatio-temporal graph convolutions on skeletons (Yan, Xiong, Lin 2018, "Spatial Temporal Graph Convolutional Networks
for Skeleton-Based Action Recognition"), with the topology refined channel by channel (Chen et al. 2021, "Channel-wise
Topology Refinement Graph Convolution for Skeleton-Based Action Recognition", CTR-GCN).

In: skeleton float32 [B, T, J, D], mask [B, T, J], lengths [B] (gesta.models.skeleton_layers). Out: logits [B, N].
Every clip is resampled to 32 frames. A block mixes joints along three graphs (a joint itself, towards the body center,
away from it), then frames; two blocks halve the frames. `topology`: "fixed" is ST-GCN with learned edge weights,
"refined" adds CTR-GCN's differences between joints, a separate graph for each channel and clip.
Parameters with 20 joints in 3-D, N = 27: 0.34 M fixed, 0.38 M refined.
Deviations: six blocks of 32 to 128 channels where the papers have nine or ten of 64 to 256; positions and movement
are inputs of one network where CTR-GCN's results are those of four; refinement starts at a tenth instead of
zero; one kernel of 5 frames, not several.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from gesta.models.skeleton_layers import SkeletonClassifier, WholeClipNet, masked, movement, to_length

Topology = Literal["fixed", "refined"]
REDUCTION = 8


def graphs(joints: int, edges: Sequence[tuple[int, int]]) -> Tensor:
    """Three graphs [3, J, J] (from column to row), rows sum to 1: itself, towards the center, away from it.

    The center is the joint with the lowest eccentricity in its connected part. Raises ValueError without edges.
    """
    if not edges:
        raise ValueError("a graph network needs the bones of the joint set; these joints have none")
    near = torch.zeros(joints, joints)
    for a, b in edges:
        near[a, b] = near[b, a] = 1
    hops = _hops(near)
    reached = torch.where(hops.isfinite(), hops, torch.zeros_like(hops))
    parts = hops.isfinite()
    distance = torch.zeros(joints)
    for joint in range(joints):  # hops to the center of the joint's connected part
        members = torch.nonzero(parts[joint])[:, 0]
        middle = members[reached[members][:, members].amax(1).argmin()]
        distance[joint] = hops[joint, middle]
    closer = near * (distance[None, :] < distance[:, None])  # from the neighbor nearer to the center
    further = near * (distance[None, :] >= distance[:, None])
    stacked = torch.stack([torch.eye(joints), closer, further])
    return stacked / stacked.sum(2, keepdim=True).clamp(min=1)


def _hops(near: Tensor) -> Tensor:
    """Number of edges on the shortest path between any two joints, [J, J]; infinite if unconnected."""
    hops = torch.where(near > 0, near, torch.full_like(near, torch.inf)).fill_diagonal_(0)
    for via in range(len(near)):
        hops = torch.minimum(hops, hops[:, via : via + 1] + hops[via : via + 1])
    return hops


class GraphConvolution(nn.Module):
    """[B, C, T, J] -> [B, C', T, J]: summed over the graphs, with a shortcut."""

    def __init__(self, inputs: int, outputs: int, start: Tensor, topology: Topology) -> None:
        super().__init__()
        kinds = len(start)
        self.outputs, self.kinds = outputs, kinds
        self.adjacency = nn.Parameter(start.clone())  # traced modules have a `graph` of their own
        self.values = nn.Conv2d(inputs, kinds * outputs, 1)
        self.refine: nn.ModuleDict | None = None
        if topology == "refined":
            inner = max(outputs // REDUCTION, 4)
            self.refine = nn.ModuleDict(
                {
                    "target": nn.Conv1d(inputs, kinds * inner, 1),
                    "source": nn.Conv1d(inputs, kinds * inner, 1),
                    "out": nn.Conv2d(kinds * inner, kinds * outputs, 1, groups=kinds),
                }
            )
            self.strength = nn.Parameter(torch.full((1,), 0.1))
        self.norm = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        values = self.values(x).unflatten(1, (self.kinds, self.outputs))  # B K C' T J
        values = values.permute(0, 2, 3, 1, 4).flatten(3)  # B C' T K*J
        graph = self.adjacency.transpose(1, 2).flatten(0, 1) if self.refine is None else self._refined(x)
        mixed = values @ graph  # B C' T J
        return (self.norm(mixed) + self.shortcut(x)).relu()  # type: ignore[no-any-return]

    def _refined(self, x: Tensor) -> Tensor:
        """A graph for each clip and channel, [B, C', K*J, J]: the shared one plus differences between joints."""
        assert self.refine is not None
        mean = x.mean(2)  # B C J
        difference = torch.tanh(self.refine["target"](mean).unsqueeze(3) - self.refine["source"](mean).unsqueeze(2))
        own = self.refine["out"](difference).unflatten(1, (self.kinds, self.outputs))  # B K C' J J
        graph = self.adjacency.unsqueeze(1) + self.strength * own  # rows: to, columns: from
        return graph.permute(0, 2, 1, 4, 3).flatten(2, 3)


class Block(nn.Module):
    """Joints, then time (kernel 5), each with a shortcut: [B, C, T, J] -> [B, C', T / stride, J]."""

    def __init__(self, inputs: int, outputs: int, start: Tensor, topology: Topology, stride: int) -> None:
        super().__init__()
        self.joints = GraphConvolution(inputs, outputs, start, topology)
        self.time = nn.Sequential(
            nn.Conv2d(outputs, outputs, (5, 1), (stride, 1), (2, 0), bias=False), nn.BatchNorm2d(outputs)
        )
        self.shortcut = nn.Identity() if stride == 1 else nn.MaxPool2d((stride, 1))

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.joints(x)
        return (self.time(mixed) + self.shortcut(mixed)).relu()  # type: ignore[no-any-return]


class StGcn(WholeClipNet):
    """Positions, movement and mask of every joint -> blocks -> mean over time and joints -> classes."""

    def __init__(
        self,
        *,
        classes: int,
        joints: int,
        edges: Sequence[tuple[int, int]],
        dimensions: int = 3,
        frames: int = 32,
        widths: Sequence[int] = (32, 32, 64, 64, 128, 128),
        topology: Topology = "refined",
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.frames = frames
        start = graphs(joints, edges)
        self.norm = nn.BatchNorm1d(joints * (2 * dimensions + 1))
        sizes = [2 * dimensions + 1, *widths]
        self.blocks = nn.Sequential(
            *(
                Block(before, now, start, topology, stride=2 if i > 0 and before != now else 1)
                for i, (before, now) in enumerate(pairwise(sizes))
            )
        )
        self.head = SkeletonClassifier(widths[-1], classes, dropout)

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """Channels of the outputs of `forward_layers`."""
        return tuple(block.joints.outputs for block in self.blocks)  # type: ignore[union-attr,misc]

    def forward_layers(
        self, skeleton: Tensor, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> list[Tensor]:
        """The block outputs for a whole clip, [B, C] each."""
        points, seen = to_length(*masked(skeleton, mask), lengths, self.frames)  # B F J D, B F J
        every = torch.cat([points, movement(points, seen, 1), seen.unsqueeze(-1)], -1)  # B F J 2D+1
        joints, channels = every.shape[2:]
        normed = self.norm(every.flatten(2).transpose(1, 2))  # B J*(2D+1) F
        maps = normed.unflatten(1, (joints, channels)).permute(0, 2, 3, 1)  # B C F J
        found = []
        for block in self.blocks:
            maps = block(maps)
            found.append(maps.mean((2, 3)))
        return found
