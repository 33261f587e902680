"""Maps layers' channels to tensors, and removes channels from all of them: weights in, weights out.

The networks of gesta.models are chains whose streams meet in one linear layer, so the table is short: the tensors that
produce a layer's channels (first axes) and those that read them (second axes).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError, grouped

Keep = Mapping[str, NDArray[np.bool_]]
"""Layer name -> mask that is True for the channels to keep."""

_CONVOLUTION = re.compile(r"(?P<stream>.*streams\.\d+)\.convolutions\.(?P<layer>\d+)\.weight")
_NORM = ("weight", "bias", "running_mean", "running_var")
LSTM_GATES = 4


Weights = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Reader:
    """A tensor that reads channels on its second axis: channel i at `first` + i * `each`, `each` elements of it."""

    tensor: str
    first: int = 0
    each: int = 1


@dataclass(frozen=True)
class Channels:
    """A layer whose channels can be removed. `makers`: tensors whose first axis is `gates` blocks of these channels."""

    name: str
    count: int
    makers: tuple[str, ...]
    readers: tuple[Reader, ...]
    gates: int = 1


def prunable_channels(weights: Weights) -> bool:
    """Returns whether the weights are of a network that `layers_of` supports: cnn3d, lstm, cnn3d_lstm."""
    on_skeletons = any(name.startswith(("network.", "skeleton.")) for name in weights)
    return not on_skeletons and any(name.endswith("linear.weight") for name in weights)


def layers_of(weights: Weights) -> list[Channels]:
    """Returns the layers of a clip network in order of computation: every stream's convolutions, "linear", "lstm".

    Raises GestaError for the weights of another network.
    """
    if not prunable_channels(weights):
        raise GestaError(
            "channel pruning works for cnn3d, lstm and cnn3d_lstm only. For a smaller file of "
            "weights, use `gesta prune`, or `gesta compress`, which also exports it."
        )
    found = []
    linear = next(name.removesuffix(".weight") for name in weights if name.endswith("linear.weight"))
    norm = linear.replace("linear", "norm")
    streams = _streams(weights)
    columns = weights[f"{linear}.weight"].shape[1]
    each = columns // max(sum(len(weights[stack[-1]]) for stack in streams), 1)
    first = 0
    for stack in streams:
        for layer, tensor in enumerate(stack):
            count = len(weights[tensor])
            last = layer + 1 == len(stack)
            reader = Reader(f"{linear}.weight", first, each) if last else Reader(stack[layer + 1])
            own = tensor.removesuffix(".weight")
            normed = re.sub(r"convolutions\.(\d+)$", r"norms.\1", own)
            found.append(Channels(own, count, (tensor, *(f"{normed}.{part}" for part in _NORM)), (reader,)))
        first += len(weights[stack[-1]]) * each
    behind = "lstm.weight_ih_l0" if "lstm.weight_ih_l0" in weights else "classifier.weight"
    makers = (f"{linear}.weight", f"{linear}.bias", *(f"{norm}.{part}" for part in _NORM))
    found.append(Channels("linear", len(weights[f"{linear}.weight"]), makers, (Reader(behind),)))
    if behind.startswith("lstm"):
        makers = tuple(f"lstm.{part}_l0" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        readers = (Reader("lstm.weight_hh_l0"), Reader("classifier.weight"))
        found.append(Channels("lstm", weights["lstm.weight_hh_l0"].shape[1], makers, readers, LSTM_GATES))
    return found


def widths_of(weights: Weights) -> dict[str, object]:
    """Returns the widths in the form of the recipe's `model.layers` (gesta.models.layers.Layers)."""
    streams = [[len(weights[tensor]) for tensor in stack] for stack in _streams(weights)]
    named = {layer.name: layer.count for layer in layers_of(weights)}
    return {"convolutions": streams or None, "linear": named["linear"], "lstm": named.get("lstm")}


def taken(weights: Weights, layers: Sequence[Channels], keep: Keep) -> dict[str, NDArray[np.generic]]:
    """Returns the weights without the channels that `keep` marks False; unaffected tensors are unchanged."""
    places: dict[tuple[str, int], NDArray[np.bool_]] = {}
    for layer in layers:
        stays = keep[layer.name]
        for tensor in layer.makers:
            places[tensor, 0] = np.tile(stays, layer.gates)
        for reader in layer.readers:
            mask = places.setdefault((reader.tensor, 1), np.ones(weights[reader.tensor].shape[1], bool))
            mask[reader.first : reader.first + layer.count * reader.each] = np.repeat(stays, reader.each)
    found = {name: np.asarray(array) for name, array in weights.items()}
    for (name, axis), mask in places.items():
        found[name] = np.ascontiguousarray(np.compress(mask, found[name], axis=axis))
    return found


def cost(layer: Channels, weights: Weights) -> float:
    """Returns the number of weights removed with one channel."""
    made = sum(weights[name].size for name in layer.makers) / layer.count
    for reader in layer.readers:
        array = weights[reader.tensor]
        made += array.shape[0] * reader.each * int(np.prod(array.shape[2:], dtype=np.int64))
    return made


def parameters_left(weights: Weights, layers: Sequence[Channels], counts: Mapping[str, int]) -> int:
    """Computes the number of parameters of the network if each layer keeps so many channels; nothing is removed."""
    share: dict[tuple[str, int], float] = {}
    for layer in layers:
        for tensor in layer.makers:
            share[tensor, 0] = counts[layer.name] / layer.count
        for reader in layer.readers:
            part = layer.count * reader.each / weights[reader.tensor].shape[1]
            gone = part * (1 - counts[layer.name] / layer.count)
            share[reader.tensor, 1] = share.get((reader.tensor, 1), 1.0) - gone
    return sum(
        round(weights[name].size * share.get((name, 0), 1.0) * share.get((name, 1), 1.0))
        for name in weights
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    )


def _streams(weights: Weights) -> list[list[str]]:
    """Returns the names of the convolutions' weights, one list per stream."""
    found = ((match, name) for name in weights if (match := _CONVOLUTION.fullmatch(name)))
    stacks = grouped((match["stream"], (int(match["layer"]), name)) for match, name in found)
    return [[name for _, name in sorted(stack)] for _, stack in sorted(stacks.items())]
