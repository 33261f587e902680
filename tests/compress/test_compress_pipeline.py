"""`gesta compress`: arithmetic, choice, table and figure by hand; the path over tiny clips, and going on with it."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from calls import fit, in_memory, parts_of
from experiments.people import write_set
from runtime.tiny_bundles import make_bundle
from training.learnable import MemoryStore, samples, tiny

import gesta
from gesta.bundle import io as bundle_io
from gesta.bundle import sparse
from gesta.cli import main
from gesta.compression import measure, pipeline
from gesta.compression.channels import prune_channels
from gesta.compression.frontier import choose, difference, draw, markdown, table
from gesta.compression.plan import Plan, needed_sparsity
from gesta.compression.prune import masked, masks_for
from gesta.compression.store import store_as
from gesta.compression.weights import narrowed
from gesta.models.catalog import build
from gesta.schema import GestaError
from gesta.tasks.classification import ACCURACY
from gesta.tasks.clips.manifest import ClipManifest
from gesta.training.run import Run

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def compress(source: Path, out: Path, plan: Plan, found: Any = (), **options: Any) -> dict[str, Any]:
    return pipeline.compress(source, plan, parts_of(found), Run(out, device="cpu", progress=False), **options)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.3])
def test_the_sparsity_that_some_bytes_need(share: float) -> None:
    weights = {
        name: tensor.numpy() for name, tensor in build("cnn3d_lstm", classes=20, width=0.25).state_dict().items()
    }
    values, scales, _ = narrowed(weights, "int8")
    dense = len(sparse.encode(values, scales)[0])
    wanted = round(share * dense)
    pruned = masked(weights, masks_for(weights, sparsity=needed_sparsity(weights, wanted)))
    found = len(sparse.encode(*narrowed(pruned, "int8")[:2])[0])
    assert 0.9 * wanted < found <= 0.98 * wanted
    assert needed_sparsity(weights, dense) == 0


def test_how_many_channels_go() -> None:
    assert Plan().sizes(1000) == [500, 250]
    assert Plan(keep=(0.7, 0.1)).sizes(1000) == [700, 100]
    assert Plan(target_bytes=500_000).sizes(18_400_000) == [int(485_000 / 0.425)]
    assert Plan(target_bytes=500_000).sizes(1_250_000) == []  # pruned, the start itself is (nearly) enough
    assert [Plan(target_bytes=500_000).prunes_start(n) for n in (1_100_000, 1_250_000, 1_300_000)] == [
        True,
        True,
        False,
    ]
    assert not Plan().prunes_start(10) and not Plan(target_bytes=500_000, keep=(0.5,)).prunes_start(10)
    assert Plan(target_bytes=500_000).sizes(200_000) == []


def row(step: str, stored: tuple[int, float], runnable: tuple[int, float] | None = None, **more: Any) -> dict[str, Any]:
    def one(size: int, accuracy: float) -> dict[str, Any]:
        interval = [accuracy - 0.02, accuracy + 0.01]
        return {"bytes": size, "val": accuracy, "test": accuracy - 0.01, "interval": interval, "difference": None}

    made = one(*stored)
    ran = {"reason": "differs"} if runnable is None else {**one(*runnable), "latency_ms": [1.0, 1.5]}
    return {"step": step, "precision": "int8", "parameters": 10, "nonzero": 5, "stored": made, "runnable": ran, **more}


ROWS = [
    row("teacher", (1000, 0.95), (1200, 0.95)),
    row("channels-50", (500, 0.94), (700, 0.94)),
    row("channels-50-pruned", (300, 0.945), None),
    row("channels-25", (300, 0.90), (400, 0.91)),
]


def test_choosing_by_hand() -> None:
    found = choose(ROWS, 0.95, 500, None, ACCURACY)
    assert (found["stored"], found["runnable"]) == (2, 3)  # the most accurate that is small enough
    found = choose(ROWS, 0.95, None, 1.0, ACCURACY)
    assert (found["stored"], found["runnable"]) == (2, 1)  # the smallest that loses no more than a point
    found = choose(ROWS, 0.95, 500, 1.0, ACCURACY)
    assert found["stored"] == 2 and found["runnable"] is None
    assert "no runnable network has at most 500 bytes and at most 1 points lost" in found["runnable_why"]
    assert "Smallest: channels-25 in int8, 400 bytes, loses 4.0 points" in found["runnable_why"]
    assert found["runnable_why"].endswith(
        "Remove more (--keep, --sparsity), train longer (--epochs), or relax the limits."
    )
    alone = choose(ROWS, 0.95, 1, None, ACCURACY, {"backbone_weights"})["stored_why"]
    assert alone.endswith("Start from a smaller model, or relax the limits.")
    assert choose(ROWS[2:3], 0.95, 500, None, ACCURACY)["runnable_why"].startswith(
        "no runnable network could be measured"
    )


def test_validation_chooses_never_test() -> None:
    rows = [row("a", (10, 0.9)), row("b", (10, 0.8))]
    rows[1]["stored"]["test"] = 1.0
    assert choose(rows, 0.9, 20, None, ACCURACY)["stored"] == 0


def test_differences_by_person() -> None:
    ours, theirs = {"a": 1, "b": 0, "c": 1, "x": 1}, {"a": 1, "b": 1, "c": 1, "y": 0}
    people = {"a": "p", "b": "q", "c": "q", "x": "p"}
    found = difference({"hits": ours}, {"hits": theirs}, people)
    assert found["mean"] == pytest.approx(-100 / 3) and found["low"] == pytest.approx(-50) and found["high"] == 0
    assert difference({"hits": ours}, {"hits": theirs}, dict.fromkeys(people, "p")) is None
    assert difference({"reason": "none"}, {"hits": theirs}, people) is None


def document(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "command": "gesta compress b d",
        "target_bytes": 500,
        "chosen": choose(rows, 0.95, 500, None, ACCURACY),
        "reference": {"step": "teacher", "value": 0.94, "people": "unseen"},
        "rows": rows,
        "notes": ["one"],
        "unit": "chunk",
        "machine": "a machine",
    }


def test_table_and_figure(tmp_path: Path) -> None:
    lines = table(document(ROWS), ACCURACY)
    assert lines[3][:7] == ["3", "channels-50-pruned", "int8", "10", "5", "300*", "93.5 [92.5, 95.5]"]
    assert lines[3][7:9] == ["-", "not exported"] and lines[4][7] == "400*" and lines[1][9] == "1.00 / 1.50"
    stored, runnable = ({"mean": mean, "low": mean - 1, "high": mean + 1} for mean in (-0.5, -2.0))
    both = {name: {**ROWS[0][name], "difference": gap} for name, gap in (("stored", stored), ("runnable", runnable))}
    said = dict(zip(*table(document([{**ROWS[0], **both}]), ACCURACY), strict=True))
    assert said["stored difference"] == "-0.5 [-1.5, +0.5]" and said["runnable difference"] == "-2.0 [-3.0, -1.0]"
    text = markdown(document(ROWS), ACCURACY)
    assert "    gesta compress b d" in text and text.count("\n| ") == 5 and "Machine: a machine" in text
    without = [{**one, "stored": {**one["stored"], "test": None, "interval": None}} for one in ROWS]
    assert table(document(without), ACCURACY)[1][6] == "95.0 (val)"
    draw(document(ROWS), tmp_path / "frontier.png", ACCURACY)
    draw(document(without), tmp_path / "other.png", ACCURACY)
    assert (tmp_path / "frontier.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """(bundle, samples) of a path whose exports are left out: they have tests of their own."""
    monkeypatch.setattr(measure, "_runnable", lambda *_: {"reason": "left out"})
    in_memory(monkeypatch, MemoryStore())
    recipe = tiny("auto", "training.epochs=8", "model.dropout=0", "augmentation.context=0")
    found = samples(36)
    source = fit(found[:30], recipe, tmp_path / "run", device="cpu", progress=False).bundle
    return source, [s if i < 30 else replace(s, split="test", subject=f"t{i % 2}") for i, s in enumerate(found)]


def test_the_path_and_going_on_with_it(quick, tmp_path: Path) -> None:
    source, found = quick
    said: list[str] = []
    plan = Plan(keep=(0.5,), max_drop=50.0, sparsity=0.6, epochs=1, steps=1)
    first = compress(source, tmp_path / "out", plan, found, say=said.append)
    steps = [(one["step"], one["precision"]) for one in first["rows"]]
    assert [name for name, precision in steps if precision == "int8"] == [
        "teacher",
        "channels-50",
        "channels-50-pruned",
    ]
    assert len(steps) == 9 and len(said) == 11
    start, narrow, pruned = (one for one in first["rows"] if one["precision"] == "int8")
    assert narrow["parameters"] <= 0.5 * start["parameters"]
    assert pruned["nonzero"] < 0.5 * pruned["parameters"] and pruned["stored"]["bytes"] < narrow["stored"]["bytes"]
    assert first["chosen"]["stored"] is not None and first["chosen"]["runnable"] is None
    best = bundle_io.read(tmp_path / "out" / "best" / "stored", ClipManifest)
    assert best.manifest.metrics["weights_bytes"] == first["rows"][first["chosen"]["stored"]]["stored"]["bytes"]
    assert start["stored"]["difference"] is not None and "hits" not in start["stored"]
    assert any("Differences of each file in points to teacher in fp32, stored" in note for note in first["notes"])
    written = json.loads((tmp_path / "out" / "frontier.json").read_text())
    assert written == first and (tmp_path / "out" / "frontier.png").exists()
    assert "| channels-50-pruned | int8 |" in (tmp_path / "out" / "frontier.md").read_text()

    said.clear()
    assert compress(source, tmp_path / "out", plan, found, say=said.append) == first and said == []
    shutil.rmtree(tmp_path / "out" / "stored" / "channels-50-fp16")
    compress(source, tmp_path / "out", plan, found, say=said.append)
    assert said == ["channels-50 in fp16: storing, exporting, measuring"]


@pytest.mark.slow
def test_other_plans_in_the_same_folder(quick, tmp_path: Path) -> None:
    source, found = quick
    said: list[str] = []
    plan = Plan(keep=(0.5,), max_drop=50.0, sparsity=0.6, epochs=1, steps=1)
    assert compress(source, tmp_path / "out", plan, found)["chosen"]["stored"] is not None
    other = Plan(keep=(0.5,), sparsity=0, epochs=2, steps=1, distil=False)
    again = compress(source, tmp_path / "out", other, found, say=said.append)
    assert said[0].startswith("channels-50: channel pruning") and again["chosen"] == {}
    assert not (tmp_path / "out" / "best" / "stored").exists(), "an earlier run's choice"
    assert {one["step"] for one in again["rows"]} == {"teacher", "channels-50"}
    whole = Plan(target_bytes=10**6, sparsity=0.5, epochs=1, steps=1, distil=False)
    again = compress(source, tmp_path / "out", whole, found, say=said.append)
    assert {one["step"] for one in again["rows"]} == {"teacher", "teacher-pruned"}
    step = tmp_path / "out" / "steps" / "teacher-pruned-fp32.json"
    better = json.loads(step.read_text())
    better["result"]["stored"]["val"] = 2.0
    step.write_text(json.dumps(better))
    again = compress(source, tmp_path / "out", whole, found, say=said.append)
    assert again["reference"]["step"] == "teacher", "compared with what there was before, however good the steps are"


@pytest.mark.slow
def test_where_channels_cannot_go_weights_are_pruned(quick, tmp_path: Path) -> None:
    _, found = quick
    recipe = tiny("auto", "input.size=32", "input.window=16", "model.name=c3d", "model.width=0.0625", "model.memory=0")
    source = fit(found[:30], recipe, tmp_path / "c3d", device="cpu", progress=False).bundle
    plan = Plan(epochs=1, steps=1, max_drop=100)
    document = compress(source, tmp_path / "out", plan, found)
    assert [one["step"] for one in document["rows"]] == 3 * ["teacher"] + 3 * ["teacher-pruned"]
    assert document["rows"][-1]["nonzero"] < 0.35 * document["rows"][0]["nonzero"]
    assert any(note.startswith("No channels were pruned") for note in document["notes"])
    assert document["chosen"]["stored"] == 5 and "--keep" not in document["chosen"]["runnable_why"]
    with pytest.raises(
        GestaError, match="--keep needs a network whose channels can be pruned: cnn3d, lstm or cnn3d_lstm"
    ) as caught:
        compress(source, tmp_path / "other", replace(plan, keep=(0.5,)), found)
    assert caught.value.usage
    with pytest.raises(GestaError, match=r"channel pruning works for cnn3d, lstm and cnn3d_lstm.*`gesta prune`"):
        prune_channels(source, tmp_path / "narrow", parts=parts_of(found))


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan(target_bytes=0), "--target-bytes is 0, expected at least 1"),
        (Plan(max_drop=-1), "--max-drop is -1, expected percentage points"),
        (Plan(keep=(1.5,)), "--keep must be a share"),
        (Plan(sparsity=1), "--sparsity must be from 0"),
        (Plan(epochs=0), "--epochs and --steps must be at least 1"),
        (Plan(sets=("teacher=other/bundle",)), "use --teacher BUNDLE"),
        (Plan(sets=("distillation.teachers=[other/bundle]",)), "use --teacher BUNDLE"),
        (Plan(to="onx"), "unknown format 'onx'; choose from openvino, onnx"),
    ],
)
def test_mistakes(plan: Plan, message: str, tmp_path: Path) -> None:
    with pytest.raises(GestaError, match=message) as caught:
        compress(tmp_path, tmp_path / "out", plan)
    assert caught.value.usage


def test_a_run_that_was_stopped_in_its_first_step_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(bundle: Path, out: Path, precision: Any) -> None:
        store_as(bundle, out, precision)
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "store_as", stopped)
    source = make_bundle(tmp_path / "source", "cnn3d_lstm")
    for _ in range(2):  # the second time it does not say that the folder is something else's
        with pytest.raises(KeyboardInterrupt):
            compress(source, tmp_path / "out", Plan(), samples(9))


def test_what_an_earlier_run_chose_goes(tmp_path: Path) -> None:
    make_bundle(tmp_path / "stored" / "start", "cnn3d_lstm")
    made = {"stored": {"bundle": "stored/start"}, "runnable": {"bundle": "stored/start"}}
    best = [tmp_path / name for name in pipeline.BEST.values()]
    pipeline.keep_best(tmp_path, [made], {"stored": 0, "runnable": 0})
    assert all(bundle_io.read(one, ClipManifest).manifest.name == "tiny cnn3d_lstm" for one in best)
    pipeline.keep_best(tmp_path, [made], {"stored": 0, "runnable": None})
    assert [one.exists() for one in best] == [True, False]
    for _ in range(2):
        pipeline.keep_best(tmp_path, [made], {})
        assert not any(one.exists() for one in best)


def test_choosing_needs_validation_and_a_folder_of_its_own(tmp_path: Path) -> None:
    source = make_bundle(tmp_path / "source", "cnn3d_lstm")
    with pytest.raises(GestaError, match="needs validation recordings"):
        compress(source, tmp_path / "out", Plan(max_drop=1), samples(9, val=False))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(GestaError, match="is not a folder of gesta compress"):
        compress(source, tmp_path / "full", Plan())


@pytest.mark.slow
def test_the_whole_path_from_the_command_line(tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gesta", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capfd.readouterr()

    data = write_set(tmp_path / "data", people=6)
    quick = [part for change in ("training.epochs=12", "input.size=16") for part in ("--set", change)]
    code, _, err = call("train", data, "--out", "run", *quick)
    assert code == 0, err
    options = ("--keep", 0.4, "--sparsity", 0.5, "--epochs", 2, "--steps", 1, "--seconds", 0.1, "--out", "small")
    code, out, err = call("compress", "run/bundle", data, "--max-drop", 100, *options)
    assert code == 0, err
    assert "channels-40-pruned" in out and "best/stored" in out.replace("\\", "/") and "frontier.png" in out
    code, out, err = call("predict", "small/best/runnable.zip", data / "p0_right_0.mkv")
    assert code == 0 and ("right" in out or "down" in out), err
    code, out, err = call("compress", "run/bundle", data, "--target-bytes", 10, *options, "--json")
    found = json.loads(out)
    assert code == 1 and "no stored network has at most 10 bytes" in err and found["chosen"]["stored"] is None
    assert not list(Path("small/best").iterdir()), "the first run's choice"
    exported = [one for one in found["rows"] if "bytes" in one["runnable"]]
    assert len(exported) >= 6 and all(one["runnable"]["latency_ms"][0] > 0 for one in exported)
    sizes = {one["step"]: one["runnable"]["bytes"] for one in exported if one["precision"] == "fp32"}
    assert sizes["channels-40"] < sizes["teacher"]
    code, out, err = call("prune", "run/bundle", "--channels", "--data", data, "--out", "half", "--keep", 0.5)
    assert code == 0 and "parameters" in out, err
    assert gesta.load("half", engine="torch").predict(data / "p0_right_0.mkv").label in ("right", "down")
