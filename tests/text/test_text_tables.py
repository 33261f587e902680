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


@pytest.mark.integration
def test_word_vectors(gesta: Any, tmp_path: Path) -> None:
    text, tests, out = tmp_path / "text.txt", tmp_path / "tests", tmp_path / "out"
    text.write_text("the cat sits on the mat\nthe dog sits on the rug\na cat and a dog\n" * 20)
    tests.mkdir()
    (tests / "pairs.tsv").write_text("cat\tdog\t9\ncat\tmat\t3\nsits\tgiraffe\t1\n")
    (tests / "questions.txt").write_text(": animals\ncat mat dog rug\ncat mat bird nest\n")
    words = ("reproduce", "tutorial/embeddings", "--data", text, "--out", out, "--workers", 1, "--seeds", 2, "--json")
    done = gesta(*words, "--set", f"tests={tests}")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    start, skip_gram, cbow = document["rows"]
    assert max(skip_gram["loss"] + cbow["loss"]) < min(start["loss"])
    assert start["tests"]["pairs"] | {"value": 0} == {"covered": 2, "total": 3, "value": 0}
    assert len(skip_gram["tests"]["questions"]["value"]) == 2
    written = Path(document["files"]["table"]).read_text()
    assert "| vectors | loss | pairs (2 of 3) | questions (1 of 2) | words/s |" in written
    assert "6 of them already done" in gesta(*words, "--set", f"tests={tests}").stderr
    done = gesta(*words, "--set", "model.hidden=3")
    assert done.exit_code == 2 and "only tests=FOLDER" in done.stderr
    for folder in (out, ""):
        done = gesta(*words, "--set", f"tests={folder}")
        assert done.exit_code == 2 and "no tests there" in done.stderr
    text.write_text("every word once\n")
    done = gesta(*words)
    assert done.exit_code == 1 and "no word occurs 5 times" in done.stderr


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
