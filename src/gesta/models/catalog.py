"""The networks, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from torch import nn

from gesta.models.cnn3d import Cnn3d
from gesta.models.joint import joint
from gesta.models.lstm import lstm


def _cnn3d(*, chunk: int, memory: float, **settings: float) -> nn.Module:  # noqa: ARG001
    return Cnn3d(**settings)  # type: ignore[arg-type]


def _joint(*, window: int, **settings: float) -> nn.Module:  # noqa: ARG001
    return joint(**settings)  # type: ignore[arg-type]


def _lstm(*, window: int, **settings: float) -> nn.Module:  # noqa: ARG001
    return lstm(**settings)  # type: ignore[arg-type]


MODELS: dict[str, Callable[..., nn.Module]] = {"cnn3d": _cnn3d, "lstm": _lstm, "joint": _joint}

CHUNK_MODELS = ("lstm", "joint")
"""Networks that take chunks of any number, and have `forward_steps` and `step`."""


def build(
    name: str,
    *,
    classes: int,
    streams: int = 2,
    channels: int = 2,
    size: int = 64,
    chunk: int = 4,
    window: int = 32,
    width: float = 1.0,
    dropout: float = 0.0,
    memory: float = 0.0,
) -> nn.Module:
    """A fresh network: `forward(clip uint8 [B, S, C, T, H, W], lengths int64 [B] | None) -> logits [B, N]`.

    Raises ValueError for an unknown name, with the list and the nearest match.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=1)
        raise ValueError(f"no network {name!r}; there are {', '.join(MODELS)}" + (f". {near[0]}?" if near else ""))
    return MODELS[name](
        classes=classes,
        streams=streams,
        channels=channels,
        size=size,
        chunk=chunk,
        window=window,
        width=width,
        dropout=dropout,
        memory=memory,
    )
