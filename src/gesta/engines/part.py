"""The part of a model that is exported as one file: a module with its input and output names and shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gesta.bundle.manifest import Tensor


@dataclass(frozen=True)
class Part:
    """A module with example inputs. `reference`: what PyTorch runs instead, if export needs a different module.

    `role`: "whole" processes a whole input, "step" the next chunk of a stream, with `states` fed back by name.
    `stage`: which network, for models with several.
    """

    role: str
    module: Any  # torch.nn.Module
    example: tuple[Any, ...]  # torch.Tensor
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    states: tuple[Tensor, ...] = ()
    stage: str = "network"
    reference: Any = None  # torch.nn.Module
