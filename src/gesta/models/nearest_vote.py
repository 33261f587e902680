"""A network and its nearest examples combined: one third of the network's probabilities, two thirds of the lookup's.

A network trained on a few clips and a lookup among them make different errors, and without held-out clips there is no
way to tell which one is better. Inputs and outputs are those of the network; Letters: B clips, N classes.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from gesta.models.nearest import Lookup

SHARE = 1 / 3
"""The network's share of the vote: too small to harm a much better lookup."""


class NearestVote(nn.Module):
    """`network` and `lookup` see the same clip; the network's modules keep their names."""

    takes_lengths = True

    def __init__(self, network: nn.Module, lookup: Lookup) -> None:
        super().__init__()
        self.network, self.lookup = network, lookup
        if hasattr(network, "step"):
            self.chunk: Any = network.chunk

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the states of both, by name."""
        return {**self.network.state_shapes, **self.lookup.state_shapes}  # type: ignore[dict-item]

    def forward(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        return together(self.network(clip, lengths), self.lookup(clip, lengths))

    def step(self, chunk: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One chunk and the state (`state_shapes`) -> logits [B, N], the new state."""
        own = len(self.network.state_shapes)  # type: ignore[arg-type]
        answer, *after = self.network.step(chunk, *state[:own])  # type: ignore[operator]
        nearest, *kept = self.lookup.step(chunk, *state[own:])  # type: ignore[operator]
        return together(answer, nearest), *after, *kept


def together(one: Tensor, other: Tensor) -> Tensor:
    """Logits [B, N] of the network and the lookup -> the logarithm of their weighted mean."""
    return (SHARE * one.softmax(-1) + (1 - SHARE) * other.softmax(-1)).log()
