"""The examples of the API reference: every call and class has one, and all run on tiny data."""

from __future__ import annotations

import functools
import inspect
import shutil
import textwrap
from pathlib import Path
from pydoc import locate
from typing import Any

import numpy as np
import pytest

import gesta
from docs import guide_worlds as worlds
from gesta import api
from tools.site.api import CALLS, GROUPS

NAMES = [name for _, names in GROUPS.values() for name in names]
CALLS_THEMSELVES = {f"gesta.{name}" for name in CALLS}
SLOW = {"gesta.compress", "gesta.crossval", "gesta.export"}
SHORT: dict[str, dict[str, Any]] = {
    "train": worlds.values(worlds.PIXELS),
    "crossval": {"sets": worlds.PIXELS},
    "compress": {"plan": {"epochs": 1, "steps": 1, "clips": 4, "seconds": 0.05}},
    "benchmark": {"seconds": 0.05},
}
"""What a call is given besides what its example says, so that it is short."""


def example(thing: Any) -> str:
    """The code of a docstring: its indented lines."""
    lines = inspect.cleandoc(thing.__doc__ or "").splitlines()
    return textwrap.dedent("\n".join(line for line in lines if line.startswith("    ") or not line))


def examples(name: str) -> str:
    """The code of an object on the page, and that of its methods behind it; or that of the README."""
    if name == "README.md":
        text = (Path(__file__).parents[2] / name).read_text(encoding="utf-8")
        return text.partition("```python\n")[2].partition("```")[0]
    thing = locate(name) or getattr(gesta, name.rpartition(".")[2])
    members = vars(thing).values() if inspect.isclass(thing) else ()
    return "\n".join([example(thing), *(example(one) for one in members if inspect.isfunction(one))])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The data and bundles that the examples name."""
    root = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("GESTA_CACHE", str(root / "cache"))
        worlds.trained_videos()
        worlds.hands()
        gesta.train("DATA", "a2j-compact", "runs/hands", **worlds.values(worlds.COMPACT))
        np.save("arms.npy", np.random.default_rng(0).uniform(100, 300, (40, 6, 2)).astype(np.float32))
    return root


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_explained_and_every_call_shows_itself(name) -> None:
    code = examples(name)
    compile(code, name, "exec")
    assert name not in CALLS_THEMSELVES or f"{name}(" in code
    assert "gesta." in code or name == "gesta.decoder.GestureEvent"


@pytest.mark.integration
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in ("README.md", "gesta", *NAMES)]
)
def test_examples_run(name, world, tmp_path, monkeypatch) -> None:
    shutil.copytree(world, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    if "gesta.train(" in examples(name):
        shutil.rmtree("runs/mine")
    for call, besides in SHORT.items():
        monkeypatch.setattr(api, call, functools.partial(_short, getattr(api, call), besides))
    exec(compile(examples(name), name, "exec"), {"gesta": gesta})
    assert "gesta.train(" not in examples(name) or list(Path("runs").glob("*/bundle"))


def _short(call: Any, besides: dict[str, Any], *given: Any, **options: Any) -> Any:
    return call(*given, **{**options, **besides})
