"""Convolutions of feature maps barely larger than the kernel, kept in 32 bits when training in bf16 on a CPU.

For these, PyTorch's (2.13, oneDNN with AVX512-BF16) weight gradient in bf16 is wrong, sometimes NaN, and may write out
of bounds. benchmarks/bf16_small_maps.py shows for which shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn


@contextmanager
def small_maps_in_full(network: nn.Module) -> Iterator[None]:
    """Within the context, convolutions of `network` compute small maps in 32 bits under CPU autocast."""
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Conv3d)]
    for convolution in convolutions:
        convolution.forward = partial(_in_full_where_small, convolution)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for convolution in convolutions:
            del convolution.forward


def _in_full_where_small(convolution: nn.Conv2d | nn.Conv3d, maps: Tensor) -> Tensor:
    forward: Callable[[nn.Module, Tensor], Tensor] = type(convolution).forward  # type: ignore[assignment]
    if torch.is_autocast_enabled("cpu") and is_small(convolution, maps.shape):
        with torch.autocast("cpu", enabled=False):
            return forward(convolution, maps.float())
    return forward(convolution, maps)


def is_small(convolution: nn.Conv2d | nn.Conv3d, shape: torch.Size) -> bool:
    """Returns whether bf16 is wrong for maps of this shape, [N, C, (T,) H, W]; slightly conservative."""
    *time, height, width = shape[2:]
    *taps, kernel_h, kernel_w = convolution.kernel_size
    if time and 1 < taps[0] >= time[0]:
        return True
    return min(height, width) == 1 or 2 * height < kernel_h or 2 * width < kernel_w
