"""One English everywhere: US spelling, and help texts and guides that read easily."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import reading_ease

ROOT = Path(__file__).parents[2]
BRITISH = (
    *(
        "recognis",
        "normalis",
        "standardis",
        "initialis",
        "penalis",
        "randomis",
        "optimise",
        "optimisa",
        "colour",
        "grey",
    ),
    *("centre", "neighbour", "labelled ", "modelled", "metres", "behaviour", "learnt"),
)
KEPT = {
    "src/gesta/clips/skeleton.py": "names of joints in files of others",
    "src/gesta/draw.py": "names of joints in files of others",
    "src/gesta/models/catalog.py": "a key of recipes that finished runs are found by",
    "src/gesta/models/feature_classifier.py": "a key of recipes that finished runs are found by",
    "src/gesta/tasks/features/recipe.py": "a key of recipes that finished runs are found by",
}
"""Files with British spelling, and why."""


def test_prose_has_us_spelling():
    files = [*ROOT.glob("src/gesta/**/*.py"), *ROOT.glob("src/gesta/**/*.html"), *ROOT.glob("docs/**/*.md")]
    texts = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8").lower() for file in files}
    found = {name for name, text in texts.items() if any(word in text for word in BRITISH)}
    assert found <= set(KEPT), sorted(found - set(KEPT))
    assert set(KEPT) <= found, "KEPT lists a file without one"


def test_reading_ease_by_hand():
    text = "The cat sat. It looked at a window."  # 8 words in 2 sentences, 9 syllables
    assert reading_ease.ease(text) == pytest.approx(206.835 - 1.015 * 4 - 84.6 * 9 / 8)
    counts = {"trained": 1, "needed": 2, "classes": 2, "names": 1, "little": 2, "accuracy": 4, "a": 1, "people": 2}
    assert {word: reading_ease.syllables(word) for word in counts} == counts
    page = "# Title\n\nPlain `code` here. [A link](x.md).\n\n| a | table |\n\n```\nno prose\n```\n"
    assert reading_ease.prose(page).split() == ["Plain", "option", "here.", "A", "link."]


def test_help_texts_and_guides_read_easily():
    texts = [*reading_ease.helps(), *reading_ease.pages()]
    long = [(name, text) for name, text in texts if len(reading_ease.words(text)) >= reading_ease.LEAST_WORDS]
    assert [name for name, text in long if reading_ease.ease(text) < 50] == []
