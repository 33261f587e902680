"""The pages link to what is there, and say nothing twice."""

import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def headings(page: Path) -> list[str]:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    return re.findall(r"^#+ (.+)$", prose, flags=re.M)


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_no_heading_stands_twice(page):
    assert [h for h, n in Counter(headings(page)).items() if n > 1] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        name, _, part = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        other = page.parent / name if name else page
        if not other.exists() or (part and other.suffix == ".md" and part not in map(anchor, headings(other))):
            dead.append(target)
    assert dead == []


NAME = r"(?<![\w./`-])gesta(?:\.[A-Za-z_]\w*)+|(?<=`)gesta(?:\.[A-Za-z_]\w*)+"
ENTRY_POINTS = {"gesta.models", "gesta.readers", "gesta.tasks"}
NAMES = {name for page in PAGES for name in re.findall(NAME, page.read_text())} - ENTRY_POINTS


@pytest.mark.integration
@pytest.mark.parametrize("name", sorted(NAMES))
def test_names_of_code_exist(name):
    parts, found = name.split(".")[1:], importlib.import_module("gesta")
    for place, part in enumerate(parts, 1):
        if not hasattr(found, part):
            importlib.import_module(".".join(["gesta", *parts[:place]]))
        found = getattr(found, part)
