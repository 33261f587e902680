"""`gesta spot compare`: the published figures on the published files, odd ways of writing them, each message."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gesta.cli import app

REAL = Path(__file__).parents[3] / "shared" / "data" / "shrec22_eval"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/shrec22_eval is not here")
TRUTH = "1;WAVE;10;20;GRAB;30;50;\n2;WAVE;5;25;\n"
RIGHT = "1;WAVE;12;20;18;GRAB;31;50;40;\n2;WAVE;5;25;15\n"


def run(*arguments):
    return CliRunner().invoke(app, ["spot", "compare", *map(str, arguments)])


def measured(tmp_path, results, truth=TRUTH):
    """The JSON of one file of results, and what stood on stderr."""
    (tmp_path / "truth.txt").write_bytes(truth.encode() if isinstance(truth, str) else truth)
    (tmp_path / "results.txt").write_bytes(results.encode() if isinstance(results, str) else results)
    result = run(tmp_path / "truth.txt", tmp_path / "results.txt", "--json")
    return (json.loads(result.stdout)[0] if result.stdout else {}), result.stderr or str(result.exception)


@needs_real
def test_published_figures():
    with (REAL / "known.csv").open() as stream:
        known = {row.pop("file"): {name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)}
    result = run(REAL / "truth.txt", *(REAL / "results" / name for name in known), "--json")
    assert result.exit_code == 0
    for one in json.loads(result.stdout):
        for name, value in known[Path(one["file"]).name].items():
            assert one[name] == pytest.approx(value, abs=0.05 if name == "delay_frames" else 0.001)


def test_figures_by_hand(tmp_path):
    one, _ = measured(tmp_path, RIGHT)
    assert (one["detection_rate"], one["false_positive_rate"], one["jaccard_index"]) == (1, 0, 1)
    assert one["delay_frames"] == pytest.approx(((6 + 10) / 2 + 9) / 2)
    assert (one["delay_p50_frames"], one["edit_error"], one["f1_at_50"]) == (9, 0, 1)
    assert one["notes"] == []


@pytest.mark.parametrize(
    "results",
    [
        "\n\n" + RIGHT.replace("\n", "\n\n"),
        RIGHT.replace("\n", "\r\n"),
        RIGHT.replace("\n", ";;\n"),
        "\ufeff" + RIGHT,
        RIGHT.replace(";", " ; "),
        "".join(reversed(RIGHT.splitlines(keepends=True))).replace("15\n", "15\n\n"),
        "01;WAVE;12.0;20;18;GRAB;31;50;40\n02;WAVE;5;25;15",
    ],
    ids=["empty lines", "CRLF", "semicolons", "BOM", "spaces", "other order", "zeros in front"],
)
def test_odd_ways_of_writing_change_nothing(tmp_path, results):
    plain, _ = measured(tmp_path, RIGHT)
    assert measured(tmp_path, results)[0] == plain


def test_results_without_last_frame_used_have_no_delay(tmp_path):
    one, _ = measured(tmp_path, "1;WAVE;12;20;GRAB;31;50;\n2;WAVE;5;25;\n")
    assert one["detection_rate"] == 1
    assert one["delay_frames"] is None and one["delay_p95_frames"] is None


def test_sequence_without_events_and_missing_one(tmp_path):
    one, said = measured(tmp_path, "1;\n")
    assert one["detection_rate"] == 0 and one["edit_error"] == 1
    assert "results.txt: sequence 2 missing" in said


@pytest.mark.parametrize(
    ("results", "note"),
    [
        (RIGHT + "3;WAVE;1;2;2\n", "sequence 3 not in the ground truth: skipped"),
        (RIGHT + "2;WAVE;40;50;45\n", "sequence 2 on several lines: merged"),
        (RIGHT + "2;WAVE;40;50;39\n", "1 event is decided before its first frame (sequence 2: WAVE 40 to 50): its"),
        (RIGHT.replace("31;50", "50;31"), "1 event is reversed (sequence 1: GRAB 50 to 31): counted as false"),
        (RIGHT.replace("31;50", "15;50"), "1 event is overlapping the one before (sequence 1: GRAB 15 to 50)"),
        (RIGHT.replace("GRAB", "Grab"), "label Grab not in the ground truth (1 event)"),
    ],
)
def test_oddities_are_told(tmp_path, results, note):
    one, said = measured(tmp_path, results)
    assert any(note in line for line in one["notes"])
    assert f"results.txt: {note}" in said


def test_reversed_result_is_a_false_one(tmp_path):
    one, _ = measured(tmp_path, RIGHT.replace("31;50", "50;31"))
    assert one["classes"]["GRAB"] == {"true": 1, "right": 0, "false": 1}


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ("1;WAVE;12;20;18;GRAB;31\n", "line 1 has an unexpected format (`WAVE;12;20;18;GRAB;31`"),
        ("1;WAVE;12;x;18\n", "line 1: WAVE has 'x' where a frame number"),
        ("1;WAVE;12;nan;18\n", "line 1: WAVE has 'nan'"),
        ("1;WAVE;12;1e30;18\n", "line 1: WAVE has '1e30'"),
        ("\n;WAVE;12;20;18\n", "line 2 begins without the sequence's id"),
        ("\n;;\n", "is empty"),
        ("1,A,10,20\n", "line 1 has no `;`"),
        ("1;;10;20\n", "line 1: an event has no label"),
        ("seq7;WAVE;1;2;2\n", "contains none of the sequences of the ground truth"),
        (b"\xff\xfe1\x00;\x00", "is not UTF-8 text"),
    ],
)
def test_unusable_files_are_told(tmp_path, results, message):
    one, said = measured(tmp_path, results)
    assert "results.txt" in one["error"] and message in one["error"]
    assert message in said


def test_one_bad_file_does_not_stop_the_others(tmp_path):
    for name, text in (("truth.txt", TRUTH), ("good.txt", RIGHT), ("bad.txt", "1;WAVE\n")):
        (tmp_path / name).write_text(text)
    result = run(tmp_path / "truth.txt", tmp_path / "bad.txt", tmp_path / "none.txt", tmp_path / "good.txt")
    assert result.exit_code == 1
    assert "good.txt | 1.000 | 0.000 | 1.000 | 8.5 | 0.000 |" in result.stdout
    assert "bad.txt: line 1 has an unexpected format" in result.stderr
    assert "none.txt: no such file" in result.stderr


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ("1;WAVE;20;10;\n", "sequence 1: WAVE 20 to 10 is reversed"),
        ("1;\n2;\n", "contains no events"),
        ("", "is empty"),
    ],
)
def test_unusable_truth_is_refused(tmp_path, truth, message):
    assert message in measured(tmp_path, RIGHT, truth)[1]
