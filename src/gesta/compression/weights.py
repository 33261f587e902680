"""A network's tensors as numpy arrays by name: which of them are weights, how many are zero, in how many bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[np.generic]]
Precision = Literal["fp32", "fp16", "int8"]

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""What batch normalization counts beside its parameters."""


def parameters(weights: Weights) -> list[str]:
    """Names of what is trained, without the statistics of batch normalization."""
    return [name for name in weights if name.rpartition(".")[2] not in STATISTICS]


def prunable(weights: Weights) -> list[str]:
    """Names of what is pruned: weights of convolutions, linear layers and LSTMs, neither biases nor norms."""
    return [name for name in parameters(weights) if weights[name].ndim >= 2]


def count(weights: Weights) -> tuple[int, int]:
    """(parameters, those of them that are not zero)."""
    names = parameters(weights)
    return sum(weights[n].size for n in names), sum(int(np.count_nonzero(weights[n])) for n in names)


def narrowed(weights: Weights, precision: Precision) -> tuple[dict[str, NDArray], dict[str, NDArray], tuple[str, ...]]:
    """Tensors as they are to be stored: (values, scales of int8 values, names of those kept in float32).

    fp16: every floating tensor, but those with a value beyond float16's range. int8: tensors of two and more axes, with
    one scale a row (first axis), max |w| / 127; the others stay float32.
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
