"""The difference between two models, from what `gesta evaluate` wrote of each."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gesta.cli import app
from gesta.evaluation.compare import compare
from gesta.schema import GestaError

HEAD = ["id", "file", "subject", "label", "predicted", "correct", "probability", "probability_of_label"]


def table(folder: Path, hits: dict[str, list[int]], head: list[str] = HEAD) -> Path:
    """predictions.csv of people's clips, each right (1) or wrong (0)."""
    folder.mkdir()
    with (folder / "predictions.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(head)
        for person, each in hits.items():
            rows.writerows([f"{i}", f"{person}.mp4", person, "wave", "wave", hit, 1, 1] for i, hit in enumerate(each))
    return folder


def test_seeds_of_a_side_count_together(tmp_path: Path) -> None:
    ours = [
        table(tmp_path / "a0", {"ann": [1, 1, 1, 1], "bo": [1, 1, 0, 0]}),
        table(tmp_path / "a1", {"ann": [1, 1, 1, 1], "bo": [1, 1, 1, 1]}),
    ]
    theirs = [table(tmp_path / "b0", {"ann": [1, 1, 0, 0], "bo": [1, 1, 1, 1]})]
    found = compare(ours, theirs)
    assert found["ours"]["accuracy"] == [0.75, 1.0] and found["theirs"]["spread"] is None
    assert found["difference"]["mean"] == pytest.approx(12.5)
    assert found["difference"]["low"] == pytest.approx(-25)  # both draws are bo: 0.75 against 1
    assert found["difference"]["high"] == pytest.approx(50)  # both are ann
    assert (found["n"], found["people"]) == (8, 2)


def test_without_people_clips_are_drawn_and_it_says_so(tmp_path: Path) -> None:
    ours, theirs = table(tmp_path / "a", {"": [1, 1, 1, 0]}), table(tmp_path / "b", {"": [1, 0, 1, 0]})
    assert compare([ours], [theirs])["people"] is None
    result = CliRunner().invoke(app, ["compare", str(ours), "--with", str(theirs)])
    assert result.exit_code == 0 and "people unknown: interval by clip" in result.stdout


def test_command_gives_one_document(tmp_path: Path) -> None:
    ours, theirs = table(tmp_path / "a", {"x": [1, 1], "y": [1, 0]}), table(tmp_path / "b", {"x": [1, 0], "y": [1, 0]})
    result = CliRunner().invoke(app, ["compare", str(ours), "--with", str(theirs / "predictions.csv"), "--json"])
    assert json.loads(result.stdout)["difference"]["mean"] == pytest.approx(25)


@pytest.mark.parametrize(
    ("hits", "head", "message"),
    [
        ({"x": [1, 1]}, HEAD, "does not have the same clips"),
        ({"x": [1, 1], "y": [1, 0]}, ["id", *HEAD[2:], "more"], "is not a table of gesta evaluate"),
        ({"x": [1, 1], "y": [1, 7]}, HEAD, "correct is 0 or 1"),
        ({}, HEAD, "contains no clips"),
    ],
)
def test_what_cannot_be_compared_is_said(tmp_path: Path, hits: dict, head: list[str], message: str) -> None:
    good = table(tmp_path / "good", {"x": [1, 1], "y": [1, 0]})
    with pytest.raises(GestaError, match=message):
        compare([good], [table(tmp_path / "bad", hits, head)])


def test_missing_folder_and_a_single_person(tmp_path: Path) -> None:
    with pytest.raises(GestaError, match="Give the folder"):
        compare([tmp_path / "none"], [tmp_path / "none"])
    alone = table(tmp_path / "alone", {"x": [1, 0]})
    with pytest.raises(GestaError, match="at least two people"):
        compare([alone], [alone])
