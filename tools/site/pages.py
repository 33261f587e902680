"""Copies the pages of the repository to the site, and adapts their links."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

OF_THE_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files outside docs/ that are also pages."""
EXAMPLES = "examples.md"


def copy(root: Path, out: Path) -> None:
    """Copies all pages and images of `root`/docs, those of OF_THE_ROOT and the example scripts. Raises ValueError for a
    link to something that is not a page."""
    for path in sorted((root / "docs").iterdir()):
        if path.suffix == ".md":
            _copy_page(root, path, out)
        elif path.is_file():
            shutil.copy(path, out / path.name)
    for name in OF_THE_ROOT:
        _copy_page(root, root / name, out)
    (out / EXAMPLES).write_text(_examples(root / "examples"), encoding="utf-8")


def place(inside: str) -> str | None:
    """The path of a repository file in the site's folder of pages; None if it is not on the site."""
    if inside in OF_THE_ROOT:
        return OF_THE_ROOT[inside]
    if inside.split("/")[0] == "examples":
        return EXAMPLES
    if inside == "docs/README.md":
        return "guides.md"
    return inside.removeprefix("docs/") if inside.startswith("docs/") else None


def insert(page: Path, marker: str, content: str) -> None:
    """Replaces `<!-- marker -->` by content. Raises ValueError if the page does not contain it exactly once."""
    text, comment = page.read_text(encoding="utf-8"), f"<!-- {marker} -->"
    if text.count(comment) != 1:
        raise ValueError(f"{page}: expected {comment} once")
    page.write_text(text.replace(comment, content), encoding="utf-8")


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """The text with `change` applied outside of fenced code blocks."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if index % 2 else change(part) for index, part in enumerate(parts))


def _copy_page(root: Path, path: Path, out: Path) -> None:
    def moved(link: re.Match[str]) -> str:
        target, _, part = link[1].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return link[0]
        inside = os.path.relpath((path.parent / target).resolve(), root.resolve())
        page = place(Path(inside).as_posix())
        if page is None:
            raise ValueError(f"{path}: links to {target}, which is not on the site (tools/site/pages.py)")
        return f"]({page}{'#' if part else ''}{part})"

    text = outside_code(path.read_text(encoding="utf-8"), lambda prose: re.sub(r"\]\(([^)\s]+)\)", moved, prose))
    target = place(path.relative_to(root).as_posix())
    assert target is not None
    (out / target).write_text(text, encoding="utf-8")


def _examples(folder: Path) -> str:
    """One section per script: its path and source."""
    lines = ["# Examples", "", "Short scripts that run unchanged. A test runs each of them.", ""]
    for path in sorted(folder.glob("*.py")):
        lines += [f"## {path.stem.replace('_', ' ').capitalize()}", "", f"`examples/{path.name}`", ""]
        lines += ["```python", path.read_text(encoding="utf-8").rstrip("\n"), "```", ""]
    return "\n".join(lines)
