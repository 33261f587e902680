"""Every call of the Python API shows an example that compiles."""

from __future__ import annotations

import inspect
import textwrap

import pytest

import gesta
from tools.site.api import CALLS


def example(name: str) -> str:
    """The code of a call's docstring: its indented lines."""
    lines = inspect.cleandoc(getattr(gesta, name).__doc__).splitlines()
    return textwrap.dedent("\n".join(line for line in lines if line.startswith("    ")))


@pytest.mark.parametrize("name", CALLS)
def test_every_call_has_an_example_of_itself(name) -> None:
    code = example(name)
    compile(code, name, "exec")
    assert f"gesta.{name}(" in code
