"""Networks from other packages, built with the required arguments and the optional ones they accept."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from torch import nn

from gesta import outside
from gesta.models.recurrent import RecurrentNet

Network = TypeVar("Network", bound=nn.Module)


def is_foreign(name: object, own: Collection[str]) -> bool:
    """Whether `name` refers to a network from another package rather than one of ours."""
    return name not in own and outside.is_outside(name)


def made(
    name: str,
    kind: type[Network],
    needed: Mapping[str, Any],
    given: Mapping[str, Any],
    options: Mapping[str, Any] | None,
) -> Network:
    """The network `name` (import path or short name), built with `needed`, those of `given` it accepts, and `options`.

    Raises GestaError if it cannot be imported or is not allowed (gesta.outside), ValueError if it cannot be built or is
    not a `kind`.
    """
    make = outside.find(name)
    try:
        takes = inspect.signature(make).parameters.values()
        everything = any(one.kind is one.VAR_KEYWORD for one in takes)
        names = {one.name for one in takes if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)}
        chosen = {key: value for key, value in given.items() if everything or key in names}
        network = make(**{**needed, **chosen, **(options or {})})
    except Exception as error:
        raise ValueError(outside.told(error)) from error
    if not isinstance(network, kind):
        expected = "torch.nn.Module" if kind is nn.Module else f"{kind.__module__}.{kind.__name__}"
        raise ValueError(f"it returns {type(network).__name__}, not a {expected}")
    strange = [key for key in ("chunk", "step") if hasattr(network, key)]
    if strange and not isinstance(network, RecurrentNet):
        raise ValueError(
            f"it has an attribute {strange[0]!r}, which only networks on chunks (gesta.models.recurrent.RecurrentNet) "
            "may have; rename it"
        )
    return network
