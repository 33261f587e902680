"""Transfer learning: keeping or replacing the last layer, freezing layers by name, per-layer learning rates.

A layer's name is the first part of its tensors' names: `encoder`, `lstm`, `layer4`. Normalization belongs to the
preceding layer, and a recurrent network of two layers has `recurrent.0` and `recurrent.1`. In two-stream networks, the
stream is prepended: `appearance.layer1`, `motion.layer4`. The `network` prefix of wrapped networks may be omitted.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from gesta.models.two_stream import TwoStream
from gesta.recipes.schema import TrainingSettings
from gesta.schema import GestaError, grouped
from gesta.words import did_you_mean

FREEZE_WORDS = ("none", "all", "first")


def layers(network: nn.Module) -> dict[str, list[str]]:
    """Maps each layer to the names of its parameters, in network order."""
    depth = 2 if isinstance(network, TwoStream) else 1
    found: dict[str, list[str]] = {}
    for name, _ in network.named_parameters():
        parts = _unwrapped(name).split(".")
        layer, rest = ".".join(parts[:depth]), parts[depth:]
        owner = network.get_submodule(name.rpartition(".")[0])
        if isinstance(owner, nn.RNNBase) and owner.num_layers > 1 and len(rest) == 1:
            layer = f"{layer}.{rest[0].rpartition('_l')[2].partition('_')[0]}"
        if parts[depth - 1].startswith(("bn", "norm")) and found:
            layer = next(reversed(found))
        found.setdefault(layer, []).append(name)
    return found


def _unwrapped(name: str) -> str:
    """motion.network.network.conv1.weight -> motion.conv1.weight."""
    return ".".join(part for part in name.split(".") if part != "network")


def _streams(network: nn.Module, there: dict[str, list[str]]) -> dict[str, list[str]]:
    """Maps each stream to its layers; for single-stream networks, "" to all layers."""
    return grouped((layer.partition(".")[0] if isinstance(network, TwoStream) else "", layer) for layer in there)


def last_layer(network: nn.Module) -> list[str]:
    """Returns the names of the modules that `reset_classifier` replaces."""
    _can_reset(network)
    trial = copy.deepcopy(network)
    before = dict(trial.named_modules())
    trial.reset_classifier(2)  # type: ignore[operator]
    return [
        name
        for name, module in trial.named_modules()
        if before.get(name) is not module and list(module.parameters(recurse=False))
    ]


def transfer_weights(network: nn.Module, known: Sequence[str], labels: Sequence[str], seed: int) -> str:
    """Adapts the network to `labels` and returns a human-readable description of what was done.

    **Rule**: if the data have exactly the classes that the network knows, its last layer is kept, reordered to match
    `labels`; otherwise it is replaced by an untrained one, even if some classes are shared.
    """
    if set(known) == set(labels):
        order = torch.tensor([list(known).index(label) for label in labels])
        with torch.no_grad():
            for name in last_layer(network):
                for parameter in network.get_submodule(name).parameters(recurse=False):
                    parameter.copy_(parameter[order])
        return f"the same {len(labels)} classes: the last layer is kept"
    _can_reset(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network.reset_classifier(len(labels))  # type: ignore[operator]
    new, gone = sorted(set(labels) - set(known)), sorted(set(known) - set(labels))
    told = [
        f"{len(names)} {what} ({_few(names)})" for names, what in ((new, "new"), (gone, "not in the data")) if names
    ]
    return f"other classes, {', '.join(told)}: the last layer is replaced by an untrained one"


def _can_reset(network: nn.Module) -> None:
    if not hasattr(network, "reset_classifier"):
        raise GestaError(
            f"{type(network).__name__} has no reset_classifier(classes), so its last layer cannot be replaced. "
            "Add it (docs/add_a_model.md).",
            usage=True,
        )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def freeze(network: nn.Module, how: str) -> nn.ModuleList:
    """Freezes layers: "all" (but the last), "first", "none", or comma-separated layer names.

    In two-stream networks, "first" is the first layer of each stream, and a stream's name stands for all of its layers
    except the last. Returns the modules to keep in eval mode, so that their running statistics do not change either
    (recurrent layers have none). Raises GestaError (usage) for an unknown layer, or if no trainable layer would remain.
    """
    there = layers(network)
    head = last_layer(network)
    streams = _streams(network, there)
    if how in ("all", "none"):
        wanted = list(streams) if how == "all" else []
    elif how == "first":
        wanted = [own[0] for own in streams.values()]
    else:
        wanted = [_known(name.strip(), [*there, *filter(None, streams)], "freeze") for name in how.split(",")]
    chosen = [n for name in wanted for n in there.get(name, ())]
    inner = [n for name in wanted for layer in streams.get(name, ()) for n in there[layer]]
    chosen += [n for n in inner if n.rpartition(".")[0] not in head]
    for name in chosen:
        network.get_parameter(name).requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise GestaError(
            f"--freeze {how} freezes every layer. Leave at least one of {', '.join(there)} out.", usage=True
        )
    still = [
        module
        for module in network.modules()
        if not isinstance(module, nn.RNNBase)
        and (own := list(module.parameters(recurse=False)))
        and not any(parameter.requires_grad for parameter in own)
    ]
    return nn.ModuleList(still)


def by_rate(network: nn.Module, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Returns trainable parameters grouped by `settings.rates`; a layer's own rate takes precedence over its stream's.

    Raises GestaError (usage) for an unknown layer.
    """
    there = layers(network)
    streams, given = _streams(network, there), _rates(network, there, settings)
    of_stream = {layer: given.get(stream, 1.0) for stream, own in streams.items() for layer in own}
    groups: dict[float, list[nn.Parameter]] = {}
    for layer, names in there.items():
        wanted = [p for p in map(network.get_parameter, names) if p.requires_grad]
        groups.setdefault(given.get(layer, of_stream[layer]), []).extend(wanted)
    return [{"params": found, "lr": settings.learning_rate * rate} for rate, found in groups.items() if found]


def stream_settings(network: TwoStream, stream: str, settings: TrainingSettings) -> TrainingSettings:
    """Returns the settings for training one stream by itself: the rates of its own layers, named without the stream.

    Raises GestaError (usage) for an unknown layer of either stream.
    """
    there = layers(network)
    given = _rates(network, there, settings)
    own = {layer: given.get(layer, given.get(stream)) for layer in there if layer.startswith(f"{stream}.")}
    rates = {layer.partition(".")[2]: rate for layer, rate in own.items() if rate is not None}
    return settings.model_copy(update={"rates": rates or None})


def _rates(network: nn.Module, there: dict[str, list[str]], settings: TrainingSettings) -> dict[str, float]:
    """Maps the layers and streams that `settings.rates` names to their rates. Raises GestaError (usage)."""
    known = [*there, *filter(None, _streams(network, there))]
    return {_known(name, known, "training.rates"): rate for name, rate in (settings.rates or {}).items()}


def _known(name: str, there: Sequence[str], option: str) -> str:
    """Returns a layer's name without `network`. Raises GestaError (usage), listing the layers, if it does not exist."""
    if _unwrapped(name) in there:
        return _unwrapped(name)
    meant = did_you_mean(_unwrapped(name), there)
    words = f", or {', '.join(FREEZE_WORDS)}" if option == "freeze" else ""
    raise GestaError(
        f"{option}: the network has no layer {name!r}; choose from {', '.join(there)}{words}.{meant}", usage=True
    )
