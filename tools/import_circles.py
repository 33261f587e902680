"""Finds import cycles between the modules of a package; the rule is described in tools/structure.py."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping

from tools.modules import Module


def import_graph(modules: list[Module], root: str) -> dict[str, set[str]]:
    """Maps each module to those of the package that it imports anywhere in its file, by full dotted names."""
    known = {_full(root, module.name) for module in modules}
    return {name: _imports(m, root, known) - {name} for m in modules for name in [_full(root, m.name)]}


def _full(root: str, name: str) -> str:
    return f"{root}.{name}" if name else root


def _imports(module: Module, root: str, known: set[str]) -> set[str]:
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            here = _full(root, module.name).split(".")
            start = here[: len(here) - node.level + module.is_package] if node.level else []
            whole = ".".join([*start, *filter(None, [node.module])])
            inner = {f"{whole}.{alias.name}" for alias in node.names}
            found |= inner & known | ({whole} if inner - known else set())
    return found & known


def package_graph(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same for the packages and modules directly below the root."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, targets in graph.items():
        here = _package(name)
        found[here] |= {_package(target) for target in targets} - {here}
    return found


def _package(name: str) -> str:
    return ".".join(name.split(".")[:2])


def circles(graph: Mapping[str, set[str]]) -> list[str]:
    """One line per group of nodes that reach each other, the largest first, with a shortest cycle in it."""
    before = {node: _walk(graph, node) for node in graph}
    groups = {frozenset(n for n in before[node] if node in before.get(n, ())) for node in graph}
    found = []
    for group in sorted((sorted(group) for group in groups if len(group) > 1), key=lambda g: (-len(g), g)):
        path = [group[0], before[group[0]][group[0]]]
        while path[-1] != group[0]:
            path.append(before[group[0]][path[-1]])
        found.append(f"{len(group)} modules: {', '.join(group)}; {' -> '.join(reversed(path))}")
    return found


def _walk(graph: Mapping[str, set[str]], start: str) -> dict[str, str]:
    """Maps each node that `start` reaches in at least one step to its predecessor on a shortest path."""
    before: dict[str, str] = {}
    edge = [start]
    while edge:
        steps = [(node, target) for node in edge for target in sorted(graph.get(node, ()))]
        edge = []
        for node, target in steps:
            if target not in before:
                before[target] = node
                edge.append(target)
    return before
