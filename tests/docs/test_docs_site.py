"""What the site is made of: commands, API, import graph, moved links; and the check that finds its dead ones."""

import re
from itertools import product
from pathlib import Path

import pytest

import gesta
from gesta.cli import COMMANDS
from tools.site import api, commands, graph, links, pages

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "commands"
    commands.write(folder)
    return folder


def test_every_command_has_a_page(reference) -> None:
    index = (reference / "index.md").read_text()
    assert all(f"[`gesta {name}`]({name}.md)" in index and (reference / f"{name}.md").is_file() for name in COMMANDS)


def test_a_page_has_every_option_of_help(reference, gesta) -> None:
    for name in ("train", "data make"):
        page = (reference / f"{name.split()[0]}.md").read_text()
        options = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", gesta(*name.split(), "--help").stdout)) - {"--help"}
        assert options and all(f"{option}" in page for option in options), name


def test_the_api_page_has_every_public_name() -> None:
    page = api.page()
    assert all(f"::: gesta.{name}\n" in page for name in gesta.__all__ if name != "__version__")


IMPORTS = {"a": {"b", "c", "e"}, "b": {"c"}, "c": {"d", "e"}, "d": {"c", "e"}, "e": set()}  # c and d in a circle


def test_rows_of_the_graph_stand_above_what_they_import() -> None:
    rows = graph.layers(IMPORTS)
    assert rows == [["a"], ["b"], ["c", "d"], ["e"]]
    assert sorted(name for row in graph.ordered(rows, IMPORTS) for name in row) == sorted(IMPORTS)


def test_arrows_that_are_left_out_are_implied_by_others() -> None:
    """Against a slow walk: the same is reached with and without them, and none of the rest can go."""

    def reached(imports, start):
        found = set()
        for _ in imports:
            found |= {one for name in {start, *found} for one in imports[name]}
        return found

    kept = graph.reduced(IMPORTS)
    assert kept["a"] == {"b"} and kept["c"] >= {"d"} and kept["d"] >= {"c"}
    assert all(reached(kept, name) == reached(IMPORTS, name) for name in IMPORTS)


def test_picture_names_every_package_once(tmp_path) -> None:
    root = tmp_path / "box"
    for name, source in (("__init__", ""), ("top", "from box import low\n"), ("low", "")):
        (root / f"{name}.py").parent.mkdir(exist_ok=True)
        (root / f"{name}.py").write_text(source)
    picture = graph.picture(root)
    assert picture.count("<rect") == 2 and "top imports low" in picture and "1 imports" in picture
    assert picture.count("<path") == 2  # the arrow, and the head of arrows


def test_every_page_of_docs_is_in_the_navigation() -> None:
    settings = (ROOT / "tools" / "site" / "mkdocs.yml").read_text(encoding="utf-8")
    named = [pages.place(path.relative_to(ROOT).as_posix()) for path in (ROOT / "docs").glob("*.md")]
    assert [name for name in named if not re.search(rf"\b{name}$", settings, re.MULTILINE)] == []


def test_links_move_with_their_pages(tmp_path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "examples").mkdir()
    (tmp_path / "docs" / "a.md").write_text("[b](b.md#x) [r](../README.md) [e](../examples) [w](https://x.org/a.md)\n")
    (tmp_path / "docs" / "b.md").write_text("```\n[code](../nowhere.md)\n```\n")
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md"):
        (tmp_path / name).write_text("[a](docs/a.md) ![p](docs/p.jpg)\n")
    (tmp_path / "site").mkdir()
    pages.copy(tmp_path, tmp_path / "site")
    assert (tmp_path / "site" / "a.md").read_text() == (
        "[b](b.md#x) [r](index.md) [e](examples.md) [w](https://x.org/a.md)\n"
    )
    assert (tmp_path / "site" / "index.md").read_text() == "[a](a.md) ![p](p.jpg)\n"
    assert "nowhere" in (tmp_path / "site" / "b.md").read_text()
    (tmp_path / "docs" / "a.md").write_text("[src](../src/gesta)\n")
    with pytest.raises(ValueError, match="is not on the site"):
        pages.copy(tmp_path, tmp_path / "site")


@pytest.mark.parametrize(
    ("address", "dead"), [("b.html", 0), ("b.html#x", 0), ("b.html#y", 1), ("c.html", 1), ("#z", 1)]
)
def test_dead_links_are_found(tmp_path, address, dead) -> None:
    (tmp_path / "a.html").write_text(f'<a href="{address}">a</a><a href="https://x.org">x</a>')
    (tmp_path / "b.html").write_text('<p id="x"></p>')
    found = links.check(tmp_path)
    assert (found.pages, found.links, len(found.dead)) == (2, 1, dead)


def test_what_a_page_loads_from_elsewhere_is_found(tmp_path) -> None:
    texts = product(
        ('<script src="{}"></script>', '<link rel="stylesheet" href="{}">', '<img src="{}">'),
        ("//x.org/a", "https://x.org/a"),
    )
    (tmp_path / "a.html").write_text("".join(text.format(address) for text, address in texts))
    assert len(links.check(tmp_path).dead) == 6
