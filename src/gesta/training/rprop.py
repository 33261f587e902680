"""RPROP as described by Iqbal (section 3.2.3, after Riedmiller and Braun 1993): per-weight step sizes, from signs only.

The step size grows if the gradient keeps its sign and shrinks if the sign changes; the step is taken either way. In
contrast, torch.optim.Rprop takes no step after a sign change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Rprop(Optimizer):
    """`lr`: initial step size; `etas`: factors after a sign change and without one; `sizes`: its limits (ours)."""

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 0.01,
        etas: tuple[float, float] = (0.5, 1.2),
        sizes: tuple[float, float] = (1e-6, 50.0),
    ) -> None:
        super().__init__(parameters, {"lr": lr, "etas": etas, "sizes": sizes})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, group)
        return loss

    def _move(self, weight: Tensor, group: dict[str, Any]) -> None:
        state, grad = self.state[weight], weight.grad
        assert grad is not None
        if not state:
            state["prev"], state["step_size"] = torch.zeros_like(weight), torch.full_like(weight, group["lr"])
        shrink, grow = group["etas"]
        agreement = (grad * state["prev"]).sign()
        factor = torch.where(agreement > 0, grow, torch.where(agreement < 0, shrink, 1.0))
        state["step_size"].mul_(factor).clamp_(*group["sizes"])
        weight.sub_(grad.sign() * state["step_size"])
        state["prev"].copy_(grad)
