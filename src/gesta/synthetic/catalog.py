"""Which synthetic data sets can be made, by name."""

from __future__ import annotations

from collections.abc import Callable

from gesta.synthetic import chalearn2014

GENERATORS: dict[str, Callable[..., list[str]]] = {"chalearn2014": chalearn2014.make}
"""Name -> function(out, *, people, recordings, size, seed, ...) -> names of the recordings."""
