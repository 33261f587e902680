"""torchvision's r3d_18, usable even if the compiled part of its wheel does not fit the installed torch."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import torch
from torch import library, nn


def build(classes: int) -> nn.Module:
    """r3d_18 (Tran et al. 2018) without weights: RGB clips [B, 3, T, H, W] -> logits [B, N]."""
    _declare_operators()
    from torchvision.models.video import r3d_18

    return r3d_18(weights=None, num_classes=classes)


@functools.cache
def _declare_operators() -> None:
    """Declares two operators that torchvision needs at import; with a CPU torch, its compiled part does not load.

    r3d_18 does not use them, so declarations without an implementation are enough.
    """
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        raise SystemExit("torchvision is not installed; see README.md.")
    try:
        for compiled in Path(found.origin).parent.glob("_C*"):
            torch.ops.load_library(str(compiled))
    except OSError:
        for operator in ("nms", "qnms"):
            library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")
