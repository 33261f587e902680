"""A network's tensors as NumPy arrays by name: prunable weights, counts of nonzeros, conversion to fewer bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[np.generic]]
Precision = Literal["fp32", "fp16", "int8"]

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Running statistics of batch normalization, which are not parameters."""


def parameters(weights: Weights) -> list[str]:
    """Returns the names of trained parameters, without the statistics of batch normalization."""
    return [name for name in weights if name.rpartition(".")[2] not in STATISTICS]


def prunable(weights: Weights) -> list[str]:
    """Returns the names of prunable tensors: weights of convolutions, linear layers and LSTMs, not biases or norms."""
    return [name for name in parameters(weights) if weights[name].ndim >= 2]


def count(weights: Weights) -> tuple[int, int]:
    """Returns (number of parameters, number of nonzero parameters)."""
    names = parameters(weights)
    return sum(weights[n].size for n in names), sum(int(np.count_nonzero(weights[n])) for n in names)


def narrowed(weights: Weights, precision: Precision) -> tuple[dict[str, NDArray], dict[str, NDArray], tuple[str, ...]]:
    """Converts tensors for storage: returns (values, scales of int8 values, names of tensors kept in float32).

    fp16: all floating-point tensors except those with values outside float16's range. int8: tensors with two or more
    axes, with one scale per row (first axis), max |w| / 127; the others stay float32.
    """
    values: dict[str, NDArray] = {name: np.asarray(array) for name, array in weights.items()}
    scales: dict[str, NDArray] = {}
    floating = [name for name, array in values.items() if array.dtype == np.float32]
    kept: list[str] = []
    for name in floating if precision != "fp32" else []:
        array = values[name]
        if precision == "fp16":
            half = _half(array)
            if half is None:
                kept.append(name)
            else:
                values[name] = half
        elif array.ndim >= 2:
            values[name], scales[name] = _eight_bits(array)
        else:
            kept.append(name)
    return values, scales, tuple(kept)


def _half(array: NDArray) -> NDArray | None:
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if bool((np.isfinite(half) == np.isfinite(array)).all()) else None


def _eight_bits(array: NDArray) -> tuple[NDArray, NDArray]:
    rows = array.reshape(len(array), -1)
    scale = np.abs(rows).max(axis=1, initial=0.0).astype(np.float32) / np.float32(127)
    safe = np.where(scale > 0, scale, np.float32(1))
    values = np.clip(np.rint(rows / safe[:, None]), -127, 127).astype(np.int8)
    return values.reshape(array.shape), safe.astype(np.float32)
