"""Code from other packages, referenced by import path, e.g. my_package.net:MyNet, or by an entry point's short name.

Code referenced by a bundle is not imported automatically, because the bundle may be untrusted. It must be installed as
an entry point, named by the user in this process (recipe, `--set`), listed in GESTA_ALLOW_IMPORT, or already imported.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from gesta.schema import GestaError
from gesta.words import did_you_mean

MODELS, READERS = "gesta.models", "gesta.readers"
"""Groups of entry points: `name = "my_package.net:MyNet"` and `name = "my_package.reader"`."""
ALLOWED = "GESTA_ALLOW_IMPORT"
"""Environment variable: comma-separated modules, packages or import paths that a bundle may reference."""

_NAME = r"[^\W\d]\w*"
_MODULE = re.compile(rf"{_NAME}(\.{_NAME})*")
_PLACE = re.compile(rf"{_NAME}(\.{_NAME})*:{_NAME}")
_named: set[str] = set()


@cache
def installed(group: str) -> dict[str, str]:
    """Short name -> import path of the entry points of a group."""
    return {point.name: point.value.replace(" ", "") for point in entry_points(group=group)}


def is_outside(name: object, group: str = MODELS) -> bool:
    """Whether this names a class or function of another package. Imports nothing."""
    return isinstance(name, str) and (_PLACE.fullmatch(name) is not None or name in installed(group))


def allow(name: object) -> None:
    """Allows an import path that the user has named explicitly."""
    if is_outside(name):
        _named.add(str(name))


def find(name: str, group: str = MODELS) -> Any:
    """The class or function with that import path or short name, imported if allowed.

    Raises GestaError (usage) if it does not exist, and GestaError if it is not allowed.
    """
    place = installed(group).get(name, name)
    module, _, attribute = place.partition(":")
    if not (name in installed(group) or place in installed(group).values() or name in _named or _permitted(place)):
        found = getattr(sys.modules.get(module), attribute, None)
        if not _is_network(found):
            raise GestaError(
                f"the network {name} is code of another package, which a bundle may not import by itself. If you "
                f"trust both, set {ALLOWED}={module} or first import {module} in Python. Or run the bundle's exported "
                "network (--engine openvino), which needs no code."
            )
        return found
    found = getattr(imported(module), attribute, None)
    if found is None:
        known = [known for known in vars(sys.modules[module]) if not known.startswith("_")]
        raise GestaError(f"{module} has no {attribute!r}.{did_you_mean(attribute, known)}", usage=True)
    return found


def imported(module: str) -> ModuleType:
    """A module from Python's path or the current folder. Raises GestaError (usage) with a one-line message."""
    try:
        with _current_folder():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            raise GestaError(
                f"no module {error.name!r} on Python's path or in the current folder. Install the package, or "
                "change to the folder that contains it.",
                usage=True,
            ) from error
        raise GestaError(f"{module} cannot be imported: {told(error)}.", usage=True) from error
    except Exception as error:
        raise GestaError(f"{module} cannot be imported: {told(error)}.", usage=True) from error


def reader(name: str) -> ModuleType | None:
    """The module with that import path or short name whose `read` reads data; None if the name is neither.

    Raises GestaError (usage) if it cannot be imported or has no function `read`.
    """
    place = installed(READERS).get(name, name)
    here = Path(f"{place}.py").is_file() or Path(place, "__init__.py").is_file()
    if _MODULE.fullmatch(place) is None or not (name in installed(READERS) or "." in place or here):
        return None
    module = imported(place)
    if not callable(getattr(module, "read", None)):
        raise GestaError(f"{place} is not a reader: it has no function read(root).", usage=True)
    return module


def told(error: BaseException) -> str:
    """A one-line description of an exception in another package's code, with the line of code that raised it."""
    reason = " ".join(str(error).split())[:300].rstrip(".")
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in last)
    return f"{type(error).__name__}: {reason}{where}" if reason else f"{type(error).__name__}{where}"


def _permitted(place: str) -> bool:
    given = [one.strip() for one in os.environ.get(ALLOWED, "").split(",")]
    return any(one and (place == one or place.startswith((f"{one}.", f"{one}:"))) for one in given)


def _is_network(found: object) -> bool:
    """Whether it is a subclass of torch.nn.Module. Does not import torch."""
    return isinstance(found, type) and any(f"{c.__module__}.{c.__name__}" == _TORCH_MODULE for c in found.__mro__)


_TORCH_MODULE = "torch.nn.modules.module.Module"


@contextmanager
def _current_folder() -> Iterator[None]:
    """Appends the current folder to Python's path."""
    here = str(Path.cwd())
    sys.path.append(here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if here in sys.path:
            del sys.path[len(sys.path) - 1 - sys.path[::-1].index(here)]
