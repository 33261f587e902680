"""Beginning from a trained network: its last layer kept or replaced, layers frozen by name, a learning rate for each.

A layer's name here is the first part of its tensors' names: `encoder`, `lstm`, `layer4`; normalisation belongs to the
layer before it, and a recurrent network of two layers has `recurrent.0` and `recurrent.1`.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from gesta.recipes.schema import TrainingSettings
from gesta.schema import GestaError

FREEZE_WORDS = ("none", "all", "first")


def layers(network: nn.Module) -> dict[str, list[str]]:
    """Layer -> names of its parameters, in the order of the network."""
    found: dict[str, list[str]] = {}
    for name, _ in network.named_parameters():
        parts = name.removeprefix("network.").split(".")
        layer = parts[0]
        owner = network.get_submodule(name.rpartition(".")[0])
        if isinstance(owner, nn.RNNBase) and owner.num_layers > 1 and len(parts) == 2:
            layer = f"{layer}.{parts[1].rpartition('_l')[2].partition('_')[0]}"
        if layer.startswith(("bn", "norm")) and found:
            layer = next(reversed(found))
        found.setdefault(layer, []).append(name)
    return found


def last_layer(network: nn.Module) -> list[str]:
    """Names of the modules that `reset_classifier` replaces."""
    trial = copy.deepcopy(network)
    before = dict(trial.named_modules())
    trial.reset_classifier(2)  # type: ignore[operator]
    return [
        name
        for name, module in trial.named_modules()
        if before.get(name) is not module and list(module.parameters(recurse=False))
    ]


def take_over(network: nn.Module, known: Sequence[str], labels: Sequence[str], seed: int) -> str:
    """Makes the network answer for `labels`; returns what was done, for people.

    **Rule**: where the data have exactly the classes that the network knows, its last layer is kept, in their order;
    otherwise it is replaced by an untrained one, also where some classes are shared.
    """
    if set(known) == set(labels):
        order = torch.tensor([list(known).index(label) for label in labels])
        with torch.no_grad():
            for name in last_layer(network):
                for parameter in network.get_submodule(name).parameters(recurse=False):
                    parameter.copy_(parameter[order])
        return f"the same {len(labels)} classes: the last layer is kept"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network.reset_classifier(len(labels))  # type: ignore[operator]
    new, gone = sorted(set(labels) - set(known)), sorted(set(known) - set(labels))
    told = [
        f"{len(names)} {what} ({_few(names)})" for names, what in ((new, "new"), (gone, "not in the data")) if names
    ]
    return f"other classes, {', '.join(told)}: the last layer is replaced by an untrained one"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def freeze(network: nn.Module, how: str) -> nn.ModuleList:
    """Freezes layers: "all" but the last, the "first", or those named, with commas; "none".

    Returns the modules that are to stay in eval, so that running statistics stay too (recurrent layers have none).
    Raises GestaError (usage) for an unknown layer, or where nothing would be left to learn.
    """
    there = layers(network)
    head = last_layer(network)
    if how == "all":
        chosen = [n for names in there.values() for n in names if n.rpartition(".")[0] not in head]
    elif how == "none":
        chosen = []
    else:
        wanted = [next(iter(there))] if how == "first" else [name.strip() for name in how.split(",")]
        chosen = [n for name in wanted for n in there[_known(name, there, "freeze")]]
    for name in chosen:
        network.get_parameter(name).requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise GestaError(f"--freeze {how}: leaves no layer to learn. Leave one of {', '.join(there)} out.", usage=True)
    still = [
        module
        for module in network.modules()
        if not isinstance(module, nn.RNNBase)
        and (own := list(module.parameters(recurse=False)))
        and not any(parameter.requires_grad for parameter in own)
    ]
    return nn.ModuleList(still)


def by_rate(network: nn.Module, settings: TrainingSettings) -> list[dict[str, Any]]:
    """The parameters that learn, in groups by `settings.rates`. Raises GestaError (usage) for an unknown layer."""
    rates, there = settings.rates or {}, layers(network)
    for name in rates:
        _known(name, there, "training.rates")
    groups: dict[float, list[nn.Parameter]] = {}
    for layer, names in there.items():
        wanted = [p for p in map(network.get_parameter, names) if p.requires_grad]
        groups.setdefault(rates.get(layer, 1.0), []).extend(wanted)
    return [{"params": found, "lr": settings.learning_rate * rate} for rate, found in groups.items() if found]


def _known(name: str, there: Sequence[str] | dict[str, list[str]], option: str) -> str:
    if name in there:
        return name
    near = difflib.get_close_matches(name, list(there), n=1, cutoff=0.4)
    meant = f" Did you mean {near[0]}?" if near else ""
    words = f", or {', '.join(FREEZE_WORDS)}" if option == "freeze" else ""
    raise GestaError(
        f"{option}: the network has no layer {name!r}; there are {', '.join(there)}{words}.{meant}", usage=True
    )
