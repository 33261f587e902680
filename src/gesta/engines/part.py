"""What of a model becomes one file: a module with the names and shapes of what goes in and comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gesta.bundle.manifest import Tensor


@dataclass(frozen=True)
class Part:
    """A module with example inputs. `reference`: what PyTorch runs in its place, where exporting asks for another form.

    `role`: "whole" answers for a whole input, "step" for the next piece of a stream, with `states` fed back by name.
    `stage`: of models of several networks, which one.
    """

    role: str
    module: Any  # torch.nn.Module
    example: tuple[Any, ...]  # torch.Tensor
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    states: tuple[Tensor, ...] = ()
    stage: str = "network"
    reference: Any = None  # torch.nn.Module
