"""LaTeX that closes what it opens."""

from __future__ import annotations

import shutil

import pytest

from gesta.tasks.text.latex import braces_balance, compiles, environments_balance, shares, whole_paragraphs


@pytest.mark.parametrize(
    ("source", "balanced"),
    [
        ("a {b {c} d}", True),
        ("{", False),
        ("}{", False),
        (r"\{ {x}", True),
        (r"\\{x}", True),
        ("% {\n{x}", True),
        (r"\% {", False),
        (r"\\% {", True),
        ("", True),
    ],
)
def test_braces(source: str, balanced: bool) -> None:
    assert braces_balance(source) is balanced


@pytest.mark.parametrize(
    ("source", "balanced"),
    [
        (r"\begin{proof} x \end{proof}", True),
        (r"\begin{a}\begin {b}\end{b}\end{a}", True),
        (r"\begin{a}\begin{b}\end{a}\end{b}", False),
        (r"\end{a}", False),
        (r"\begin{a}", False),
        ("%\\begin{a}\nx", True),
    ],
)
def test_environments(source: str, balanced: bool) -> None:
    assert environments_balance(source) is balanced


def test_shares_of_whole_paragraphs() -> None:
    good, bad = "cut} \n\nA {b}.\n\n\\begin{proof}\nx\n\\end{proof}\n\ncut {", "cut\n\nA {b.\n\n{ cut"
    assert whole_paragraphs(good) == "A {b}.\n\n\\begin{proof}\nx\n\\end{proof}"
    found = shares([good, bad])
    assert (found["braces"], found["environments"], found["both"]) == (0.5, 1.0, 0.5)


def test_a_sample_without_a_whole_paragraph_is_checked_as_it_is() -> None:
    assert shares([r"\begin{a} { no blank line", "{{{ \n\n }}} \\begin{x}"])["both"] == 0
    assert shares(["one line"])["both"] == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_compiling() -> None:
    assert compiles("A $x^2$.") is True
    assert compiles(r"\undefinedcommand") is False
