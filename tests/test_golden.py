"""tools/golden.py: what is masked, what counts as a difference, and how renames reach commands and documents."""

import json
from pathlib import Path

import pytest

from tools import golden

HERE = Path("/somewhere/scratch")


def differences(was, now):
    return dict(golden.differences(was, now, 1e-4))


def test_what_another_run_changes_is_masked_and_nothing_else():
    found = golden.masked(
        {"latency": {"median": 3.0, "of": "clip"}, "learning_rate": 0.1, "seconds": 2, "time_s": 0.4, "made": None,
         "note": f"{HERE}/run took 1.5 min on 2026-11-27T22:16:02+00:00"},
        HERE, HERE / "src",
    )  # fmt: skip
    assert found == {
        "latency": {"median": "<masked>", "of": "<masked>"},
        "learning_rate": 0.1,
        "seconds": "<masked>",
        "time_s": 0.4,
        "made": None,
        "note": "<scratch>/run took <time> on <date>",
    }


def test_numbers_within_the_tolerance_are_the_same_and_others_are_named():
    assert not differences({"a": [1.0, float("nan")]}, {"a": [1.00005, float("nan")]})
    assert list(differences({"a": [1.0, 2.0]}, {"a": [1.0, 2.001]})) == ["/a/1"]
    assert differences({"a": True, "b": 1}, {"a": 1, "c": 1}).keys() == {"/b", "/c"}
    assert list(differences([1], [1, 2])) == [""]


def test_renames_are_whole_words(monkeypatch):
    words = {"mullick/joint": "cnn3d-lstm", "--way": "--mode", "distillation.way": "distillation.mode"}
    names = {
        "words": words,
        "keys": {"sights": "views", "rival": None},
        "values": {"sequence": "features"},
        "files": {},
    }
    monkeypatch.setattr(golden, "RENAMES", names)
    assert golden.by_words("train --recipe mullick/joint --way") == "train --recipe cnn3d-lstm --mode"
    assert golden.by_words("mullick/joint-small --ways x.way") == "mullick/joint-small --ways x.way"
    assert golden.by_words("distillation.way=joint") == "distillation.mode=joint"
    assert golden.renamed({"sights": ["a sequence", "sequence"], "rival": 1}) == {"views": ["a sequence", "features"]}


def written(folder, **answer):
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    (folder / "clips" / "train.json").write_text(json.dumps({"command": "train", "took": 1.0, **answer}))
    return folder


def test_compare_counts_learns_and_leaves_out(tmp_path, capsys, monkeypatch):
    old = written(tmp_path / "old", exit=2, message="Error: no", files={"a.bin": "1"})
    new = written(tmp_path / "new", exit=1, message="Error: never", files={"a.bin": "2"}, took=3.0)
    assert golden.compare(old, new, False, 1e-4, False) == 2
    assert golden.compare(old, new, False, 1e-4, True) == 3
    text = capsys.readouterr().out
    assert "clips/train/exit: was 2, is 1" in text and "not counted: clips/train/message" in text
    with monkeypatch.context() as change:
        change.setitem(golden.MEANT, "clips/train/exit", "refused as wrong usage")
        assert golden.compare(old, new, False, 1e-4, False) == 1
    assert "was 2, is 1 (refused as wrong usage)" in capsys.readouterr().out
    again = written(tmp_path / "again", exit=2, message="Error: no", files={"a.bin": "3"})
    golden.compare(old, again, True, 1e-4, False)
    assert golden.compare(old, new, False, 1e-4, False) == 1
    (new / "clips" / "train.json").unlink()
    assert golden.compare(old, new, False, 1e-4, False) == 1


def test_every_step_of_the_table_is_one_command():
    yaml = pytest.importorskip("yaml")
    table = yaml.safe_load((golden.HERE / "golden_steps.yaml").read_text(encoding="utf-8"))
    short = table.pop("short")
    lines = [line.format(**short, bundles="b") for steps in table.values() for line in steps.values()]
    assert len(lines) > 200 and not [line for line in lines if "{" in line]


def test_tensors_are_compared_in_the_order_of_their_names_and_other_lists_as_they_are():
    one, other = {"name": "a", "dense_bytes": 4}, {"name": "b", "dense_bytes": 8}
    assert golden.renamed([other, one]) == [one, other]
    assert golden.renamed(["b", "a", {"name": "a"}]) == ["b", "a", {"name": "a"}]
