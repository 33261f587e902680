"""The modules of a package as text and syntax tree, for tools/structure.py."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Module:
    """One file: its dotted name without the root package ("" for the root itself), its path and its source."""

    name: str
    path: str
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def is_package(self) -> bool:
        return self.path.endswith("__init__.py")

    def at(self, node: ast.stmt | ast.expr | ast.pattern) -> str:
        return f"{self.path}:{node.lineno}"

    def within(self, *parts: str) -> bool:
        return any(self.name == part or self.name.startswith(part + ".") for part in parts)


def modules_of(root: Path) -> list[Module]:
    """The modules of the package in this folder; paths start with the name of the folder."""
    found = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path.relative_to(root.parent).as_posix(), path.read_text(encoding="utf-8")))
    return found


def is_text(node: ast.AST) -> bool:
    """Whether a statement is only a string, such as a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
