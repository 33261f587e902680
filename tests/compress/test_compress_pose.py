"""gesta compress on a hand pose model: choice in millimeters, what is refused, the whole path once (slow)."""

import json

import numpy as np
import pytest
from calls import parts_of

from gesta.bundle import io
from gesta.compression.frontier import choose, markdown
from gesta.compression.pipeline import compress
from gesta.compression.plan import Plan
from gesta.schema import GestaError
from gesta.sources.hand_catalog import read
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.split import assign_hand_splits
from gesta.tasks.hands.task import TASK
from gesta.training.run import Run

ERROR = TASK.quality


def row(step, size, val, reason=None):
    ran = {"bytes": 2 * size, "val": val + 1, "test": val, "interval": None, "latency_ms": (1, 2)}
    runnable = {"reason": reason} if reason else ran
    stored = {"bytes": size, "val": val, "test": val + 0.5, "interval": None}
    return {"step": step, "precision": "fp32", "parameters": 9, "nonzero": 8, "stored": stored, "runnable": runnable}


ROWS = [row("start", 100, 10.0), row("a", 50, 10.4), row("b", 25, 11.5), row("c", 20, 14.0, "does not agree")]


def test_smallest_that_loses_few_millimeters():
    assert choose(ROWS, 10.0, None, 2.0, ERROR)["stored"] == 2
    found = choose(ROWS, 10.0, None, 1.0, ERROR)
    assert found["stored"] == 1 and found["runnable"] == 0


def test_best_of_those_small_enough():
    found = choose(ROWS, 10.0, 60, None, ERROR)
    assert found["stored"] == 1 and found["runnable"] == 2


def test_why_nothing_fits():
    found = choose(ROWS, 10.0, 10, None, ERROR)
    assert found["stored"] is None
    assert "Smallest: c in fp32, 20 bytes, loses 4.00 mm; best: start in fp32" in found["stored_why"]


def test_table_says_errors_and_marks_the_choice():
    document = {"rows": ROWS, "chosen": {"stored": 1}, "command": "gesta compress", "notes": ["a note"], "machine": "m"}
    text = markdown(document, ERROR)
    assert "| stored bytes | stored mean error, mm | runnable bytes | runnable mean error, mm | ms per chunk" in text
    assert "| 2 | a | fp32 | 9 | 8 | 50* | 10.90 | 100 | 10.40 | 1.00 / 2.00 |" in text and "- a note" in text


def test_needs_validation_frames(pose_bundle, hand_data, tmp_path):
    frames = [f for f in assign_hand_splits(read(hand_data).frames)[0] if f.split != "val"]
    with pytest.raises(GestaError, match="needs validation recordings"):
        compress(pose_bundle, Plan(max_drop=1), parts_of(frames), Run(tmp_path / "out"))


def test_options_of_clips_are_refused(gesta, pose_bundle, hand_data, tmp_path):
    done = gesta("compress", pose_bundle, hand_data, "--out", tmp_path / "out", "--keep", "0.5")
    assert done.exit_code == 2 and "--keep does not apply to hand pose estimation" in done.stderr


def test_channel_pruning_is_not_for_hands(gesta, pose_bundle, hand_data, tmp_path):
    for words in (("slim", pose_bundle, hand_data), ("prune", pose_bundle, "--channels", "--data", hand_data)):
        done = gesta(*words, "--out", tmp_path / "out")
        assert done.exit_code == 2 and "pruning is not available for hand pose estimation" in done.stderr


@pytest.mark.slow
def test_whole_path(gesta, pose_bundle, hand_data, tmp_path):
    out = tmp_path / "out"
    words = ("--epochs", "1", "--steps", "1", "--sparsity", "0.5", "--seconds", "0", "--max-drop", "1000")
    done = gesta("compress", pose_bundle, hand_data, "--out", out, *words, "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads((out / "frontier.json").read_text())
    assert [r["step"] for r in document["rows"]] == ["start"] * 3 + ["pruned-50"] * 3
    errors = [r["stored"]["test"] for r in document["rows"]]
    assert np.isfinite(errors).all() and (out / "frontier.png").stat().st_size > 5000
    best = document["rows"][document["chosen"]["stored"]]
    assert best["precision"] == "int8" and io.read(out / "best" / "stored", HandManifest).manifest.kind == "hands"
    again = gesta("compress", pose_bundle, hand_data, "--out", out, *words, "--json")
    assert again.exit_code == 0 and "storing" not in again.stderr  # nothing is done twice
