"""Optimizers and learning rate schedules by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn, optim

from gesta.training.rprop import Rprop

Parameters = Iterable[nn.Parameter] | Iterable[dict[str, Any]]
Settings = Any
"""The training section of a recipe."""

OPTIMIZERS: dict[str, Callable[[Parameters, Settings], optim.Optimizer]] = {
    "sgd": lambda p, t: optim.SGD(p, lr=t.learning_rate, momentum=t.momentum, weight_decay=t.weight_decay),
    "adam": lambda p, t: optim.Adam(p, lr=t.learning_rate, weight_decay=t.weight_decay),
    "adamw": lambda p, t: optim.AdamW(p, lr=t.learning_rate, weight_decay=t.weight_decay),
    "rprop": lambda p, t: Rprop(p, lr=t.learning_rate),
}
"""Weight decay is an L2 penalty in the gradient for sgd and adam, decoupled for adamw, and not used for rprop."""


def optimizer_for(parameters: Parameters, settings: Settings) -> optim.Optimizer:
    """Creates the optimizer for the parameters that require gradients, or for parameter groups with learning rates."""
    wanted = [p for p in parameters if isinstance(p, dict) or p.requires_grad]
    return OPTIMIZERS[settings.optimizer](wanted, settings)  # type: ignore[arg-type]


def schedule_for(optimizer: optim.Optimizer, settings: Settings, steps: int) -> optim.lr_scheduler.LRScheduler | None:
    """Returns a one-cycle schedule, up to the learning rate and down to almost zero in `steps` updates, or None.

    Adam's first beta is cycled inversely, from 0.95 to 0.85 and back; SGD keeps the momentum of the recipe.
    """
    if settings.schedule != "one_cycle":
        return None
    highest = [group["lr"] for group in optimizer.param_groups]
    cycled = settings.optimizer != "sgd"
    return optim.lr_scheduler.OneCycleLR(optimizer, max_lr=highest, total_steps=max(steps, 2), cycle_momentum=cycled)


def batches_an_update(settings: Settings, batches: int) -> int:
    """Returns the number of batches accumulated per update: the share `accumulate` of the `batches` per epoch, or 1."""
    share = getattr(settings, "accumulate", None)
    return 1 if share is None else max(1, round(share * batches))
