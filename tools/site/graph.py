"""The import graph as a picture: the packages of gesta and their imports, drawn in rows."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path

from tools.import_circles import import_graph, package_graph
from tools.modules import modules_of

Graph = Mapping[str, set[str]]
BOX = (118, 30)
STEP = (136, 74)
SWEEPS = 8


def picture(root: Path) -> str:
    """The graph as SVG for a page. An arrow points from a package to one that it imports; imports that follow from
    longer paths have no arrow."""
    modules = modules_of(root)
    named = package_graph(import_graph(modules, root.name))
    imports = {_short(name): {_short(one) for one in targets} - {root.name} for name, targets in named.items()}
    del imports[root.name]
    count = sum(len(targets) for targets in imports.values())
    rows = ordered(layers(imports), imports)
    about = f"{len(imports)} packages and modules of gesta, {len(modules)} files, {count} imports between packages"
    return _svg(rows, reduced(imports), about)


def layers(imports: Graph) -> list[list[str]]:
    """The packages in rows: each above everything that it imports, those of a cycle side by side."""
    below = {name: _reached(name, imports) for name in imports}
    depth: dict[str, int] = {}
    for name in sorted(below, key=lambda one: len(below[one] | {one})):
        circle = {one for one in below[name] if name in below[one]}
        depth[name] = max((depth[one] + 1 for one in below[name] - circle if one in depth), default=0)
        for one in circle:
            depth[one] = max(depth[name], depth.get(one, 0))
    return [sorted(name for name in depth if depth[name] == row) for row in range(max(depth.values()), -1, -1)]


def reduced(imports: Graph) -> dict[str, set[str]]:
    """The imports without those that follow from longer paths (the transitive reduction); cycles are kept."""
    below = {name: _reached(name, imports) for name in imports}
    return {
        name: {
            one
            for one in targets
            if not any(one in below[other] and name not in below[other] for other in targets - {one})
            or name in below[one]
        }
        for name, targets in imports.items()
    }


def ordered(rows: list[list[str]], imports: Graph) -> list[list[str]]:
    """Sorts each row so that neighbors in the graph are close: by the mean position of connected packages."""
    joined = {name: set(imports[name]) | {one for one in imports if name in imports[one]} for name in imports}
    place = {name: index - len(row) / 2 for row in rows for index, name in enumerate(row)}
    for _ in range(SWEEPS):
        for row in rows:
            row.sort(key=lambda name: sum(place[one] for one in joined[name]) / max(1, len(joined[name])))
            place |= {name: index - (len(row) - 1) / 2 for index, name in enumerate(row)}
    return rows


def _short(name: str) -> str:
    return name.split(".")[-1]


def _reached(start: str, imports: Graph) -> set[str]:
    """Everything that a package imports, directly or indirectly."""
    found: set[str] = set()
    edge = set(imports[start])
    while edge:
        found |= edge
        edge = {one for name in edge for one in imports.get(name, ())} - found
    return found


def _svg(rows: list[list[str]], imports: Graph, about: str) -> str:
    widest = max(map(len, rows))
    width, height = widest * STEP[0], len(rows) * STEP[1]
    center = {
        name: (width / 2 + (index - (len(row) - 1) / 2) * STEP[0], (number + 0.5) * STEP[1])
        for number, row in enumerate(rows)
        for index, name in enumerate(row)
    }
    arrows = [_arrow(center[name], center[one]) for name in center for one in sorted(imports[name])]
    boxes = [_box(name, *center[name], sorted(imports[name])) for name in center]
    label = f'role="img" aria-label="{html.escape(about)}"'
    head = '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    return "\n".join(
        [
            f'<figure class="imports"><svg viewBox="0 0 {width} {height}" {label}>',
            f'<defs>{head}<path d="M0 0L8 4L0 8z"/></marker></defs>',
            *arrows,
            *boxes,
            f"</svg><figcaption>{html.escape(about)}; arrows that follow from others are omitted</figcaption></figure>",
        ]
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (u, v) = start, end
    if y == v:  # in a cycle
        side = 1 if u > x else -1
        return f'<path d="M{x + side * BOX[0] / 2:.0f} {y:.0f}L{u - side * BOX[0] / 2:.0f} {v:.0f}"/>'
    top, bottom = y + BOX[1] / 2, v - BOX[1] / 2
    middle = (top + bottom) / 2
    return f'<path d="M{x:.0f} {top:.0f}C{x:.0f} {middle:.0f} {u:.0f} {middle:.0f} {u:.0f} {bottom:.0f}"/>'


def _box(name: str, x: float, y: float, targets: list[str]) -> str:
    title = f"{name} imports {', '.join(targets)}" if targets else f"{name} imports nothing of gesta"
    left, top = x - BOX[0] / 2, y - BOX[1] / 2
    return (
        f'<g><title>{html.escape(title)}</title><rect x="{left:.0f}" y="{top:.0f}" width="{BOX[0]}" height="{BOX[1]}" '
        f'rx="6"/><text x="{x:.0f}" y="{y + 4:.0f}">{html.escape(name)}</text></g>'
    )
