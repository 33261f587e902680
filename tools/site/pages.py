"""The pages of the repository as pages of the site: where they come to stand, and their links with them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

OF_THE_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files beside docs/ that are pages, too."""
EXAMPLES = "examples.md"


def copy(root: Path, out: Path) -> None:
    """All pages and pictures of `root`/docs, those of OF_THE_ROOT and the example scripts. Raises ValueError for a link
    to what is not a page."""
    for path in sorted((root / "docs").iterdir()):
        if path.suffix == ".md":
            _copy_page(root, path, out)
        elif path.is_file():
            shutil.copy(path, out / path.name)
    for name in OF_THE_ROOT:
        _copy_page(root, root / name, out)
    (out / EXAMPLES).write_text(_examples(root / "examples"), encoding="utf-8")


def place(inside: str) -> str | None:
    """Where a file of the repository stands on the site, as a path in its folder of pages; None if it does not."""
    if inside in OF_THE_ROOT:
        return OF_THE_ROOT[inside]
    if inside.split("/")[0] == "examples":
        return EXAMPLES
    if inside == "docs/README.md":
        return "guides.md"
    return inside.removeprefix("docs/") if inside.startswith("docs/") else None


def insert(page: Path, marker: str, content: str) -> None:
    """Puts what was made in the place of `<!-- marker -->`. Raises ValueError where a page has no such place."""
    text, comment = page.read_text(encoding="utf-8"), f"<!-- {marker} -->"
    if text.count(comment) != 1:
        raise ValueError(f"{page}: expected {comment} once")
    page.write_text(text.replace(comment, content), encoding="utf-8")


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """The text with `change` made to what stands between its fenced blocks."""
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
            raise ValueError(f"{path}: links to {target}, which is not a page of the site (tools/site/pages.py)")
        return f"]({page}{'#' if part else ''}{part})"

    text = outside_code(path.read_text(encoding="utf-8"), lambda prose: re.sub(r"\]\(([^)\s]+)\)", moved, prose))
    target = place(path.relative_to(root).as_posix())
    assert target is not None
    (out / target).write_text(text, encoding="utf-8")


def _examples(folder: Path) -> str:
    """One section a script: its file, and the script whole."""
    lines = ["# Examples", "", "Short scripts to run as they stand. A test runs each of them.", ""]
    for path in sorted(folder.glob("*.py")):
        lines += [f"## {path.stem.replace('_', ' ').capitalize()}", "", f"`examples/{path.name}`", ""]
        lines += ["```python", path.read_text(encoding="utf-8").rstrip("\n"), "```", ""]
    return "\n".join(lines)
