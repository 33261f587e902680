"""Networks of other packages: made with what they need, and with what they take of what there is."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from torch import nn

from gesta import outside
from gesta.models.recurrent import RecurrentNet

Network = TypeVar("Network", bound=nn.Module)


def is_foreign(name: object, own: Collection[str]) -> bool:
    """Whether this names a network of another package, and none of our own."""
    return name not in own and outside.is_outside(name)


def made(
    name: str,
    kind: type[Network],
    needed: Mapping[str, Any],
    given: Mapping[str, Any],
    options: Mapping[str, Any] | None,
) -> Network:
    """The network of that place or short name, with `needed`, with those of `given` that it takes, and `options`.

    Raises GestaError where it cannot be imported or is not allowed (gesta.outside), ValueError where it cannot be made
    or is no `kind`.
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
        raise ValueError(f"it gives {type(network).__name__}, not a {expected}")
    strange = [key for key in ("chunk", "step") if hasattr(network, key)]
    if strange and not isinstance(network, RecurrentNet):
        raise ValueError(
            f"it has an attribute {strange[0]!r}, which networks by chunks (gesta.models.recurrent.RecurrentNet) have; "
            "name it otherwise"
        )
    return network
