"""Where the shared cases lie: material beside the checkout that not everybody has. Tests on it skip without it."""

from __future__ import annotations

from pathlib import Path

import pytest

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases"


def case(name: str) -> Path:
    """The folder (or file) of a case; skips the test where the shared cases are not beside the checkout."""
    path = CASES / name
    if not path.exists():
        pytest.skip(f"the shared case {name} is not beside this checkout")
    return path


def put(root: Path, *names: str) -> None:
    """Empty files of these names, with their folders."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
