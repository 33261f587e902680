"""`gesta reproduce tutorial/...` on tiny texts: planned, trained, scored, written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from text.test_text_translation import toy

SMALL = ("--set", "model.hidden=12", "--set", "model.embedding=8", "--set", "training.precision=32-true")


def test_a_text_is_needed(gesta: Any, tmp_path: Path) -> None:
    done = gesta("reproduce", "tutorial/characters", "--out", tmp_path)
    assert done.exit_code == 2
    assert "needs text: give --data" in done.stderr


@pytest.mark.slow
def test_characters_of_latex(gesta: Any, tmp_path: Path) -> None:
    text = tmp_path / "book.tex"
    text.write_text("Let $X$ be {a scheme}.\n\n\\begin{proof}\nTrivial.\n\\end{proof}\n\n" * 60)
    words = ("reproduce", "tutorial/latex", "--data", text, "--out", tmp_path / "out", "--workers", 1, *SMALL, "--json")
    done = gesta(*words)
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert [len(row["measured"]) for row in document["rows"]] == [1, 1, 1]
    assert all(row["ngram"] < 1 and row["part"] == "test" for row in document["rows"])
    assert 0 <= document["rows"][0]["balanced"] <= 1
    assert "3 of them already done" in gesta(*words).stderr
    assert "| 1 LSTM layer of 192 |" in Path(document["files"]["table"]).read_text()


@pytest.mark.slow
def test_translations(gesta: Any, tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu")
    data, out = toy(tmp_path / "toy"), tmp_path / "out"
    done = gesta("reproduce", "tutorial/glosses", "--data", data, "--out", out, "--workers", 1, *SMALL, "--json")
    assert done.exit_code == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["label"] for row in rows] == ["encoder-decoder LSTM", "with attention"]
    assert all(0 <= row["measured"][0] <= 100 for row in rows)
