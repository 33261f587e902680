"""`gesta train` and `gesta recipes` on small real files: what they print, leave and refuse."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from experiments.people import write_set

from gesta.bundle import io as bundle_io
from gesta.cli import main
from gesta.recipes import names, read_text
from gesta.tasks.clips.manifest import ClipManifest

QUICK = ("training.epochs=2", "training.batch=4", "input.size=16", "model.width=0.125")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def gesta(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """gesta("train", ...) -> (exit code, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gesta", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capfd.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return call


def sets(*changes: str) -> list[str]:
    return [part for change in (*QUICK, "baselines=false", *changes) for part in ("--set", change)]


@pytest.mark.integration
def test_train_with_broken_recordings(gesta, tmp_path: Path) -> None:
    data = write_set(tmp_path / "data", people=5)
    broken = data / "p0_right_0.mkv"
    broken.write_bytes(broken.read_bytes()[:50])
    code, out, err = gesta("train", data, "--out", "run", "--json", *sets())
    assert code == 0, err
    document = json.loads(out)
    assert out.count("\n") == 1
    assert document["bundle"] == str(Path("run/bundle"))
    assert [Path(p["path"]).name for p in document["skipped"]] == [broken.name]
    assert document["parity"]["top_class_agreement"] == 1
    assert document["metrics"]["epochs"] == 2
    manifest = bundle_io.read(tmp_path / "run" / "bundle", ClipManifest).manifest
    assert {(a.role, a.engine) for a in manifest.artifacts} == {
        ("weights", "torch"),
        ("whole", "openvino"),
        ("step", "openvino"),
    }
    assert manifest.provenance.skipped == 1
    assert "streams body: the hand stream needs skeletons." in err


@pytest.mark.integration
def test_train_says_what_to_do_next_and_resumes(gesta, tmp_path: Path) -> None:
    data = write_set(tmp_path / "data")
    code, out, err = gesta("train", data, "--seed", 3, *sets())
    assert code == 0, err
    folder = Path("runs/data-auto-1")
    assert f"next      gesta evaluate {folder / 'bundle'} {data}\n" in out  # the seed stands in the bundle
    code, measured, err = gesta("evaluate", folder / "bundle", data, "--json")
    assert code == 0 and json.loads(measured)["warnings"] == [], err
    others = [gesta("evaluate", folder / "bundle", data, "--json", "--seed", seed)[1] for seed in range(3)]
    assert any("were used in training; they are skipped" in shown or not shown for shown in others)
    code, again, err = gesta("train", data, "--seed", 3, "--out", folder, "--resume", *sets())
    assert code == 0, err
    assert again.splitlines()[1:] == out.splitlines()[1:]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "data", "--recipe", "atuo"], 2, "Did you mean auto?"),
        (["train", "data", "--set", "training.epoch=1"], 2, "Did you mean training.epochs?"),
        (["train", "nowhere"], 2, "nowhere"),
        (["train", "data", "--resume"], 2, "--resume needs --out"),
        (["train", "data", "--protocol", "subjects"], 2, "subject and document"),
        (["train", "data", "--set", "input.streams=[hand]"], 2, "needs skeletons"),
        (["train", "data", "--set", "training.precision=16-mixed", "--device", "cpu"], 1, "needs a GPU"),
        (["train", "data", "--device", "gpu"], 2, "auto, cpu, cuda"),
        (["train", "data", "--out", "data/index.csv"], 1, "data/index.csv: File exists"),
        (["recipes", "atuo"], 2, "Did you mean auto?"),
    ],
)
def test_mistakes(gesta, tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    write_set(tmp_path / "data", takes=1, frames=4)
    found, out, err = gesta(*arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert not Path("runs").exists()


@pytest.mark.integration
def test_one_class_is_refused(gesta, tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    (tmp_path / "data" / "right").mkdir(parents=True)
    for video in (tmp_path / "set").glob("*_right_*.mkv"):
        shutil.copy(video, tmp_path / "data" / "right")
    code, _, err = gesta("train", "data")
    assert code == 1
    assert "only the class 'right'; at least two classes are needed" in err
    assert not Path("runs").exists()


@pytest.mark.integration
def test_recipes_are_listed_and_printed_whole(gesta) -> None:
    code, out, _ = gesta("recipes", "--all", "--json")
    every = json.loads(out)["recipes"]
    assert code == 0 and sorted(r["name"] for r in every) == names() and all(r["cost"] for r in every)
    code, out, _ = gesta("recipes", "--all")
    assert code == 0 and all(name in out for name in names())
    code, out, _ = gesta("recipes", "--json")
    listed = [r["name"] for r in json.loads(out)["recipes"]]
    assert code == 0 and listed == [r["name"] for r in every if not r["reproduces"]] and len(listed) < len(every)
    code, out, _ = gesta("recipes")
    assert "mullick/lstm" not in out and out.startswith("gesture recognition in clips\n  auto ")
    assert out.index("  auto") < out.index("hand pose estimation") < out.index("  kazakos/depth-net")
    assert gesta("recipes", "mullick/lstm") == (0, read_text("mullick/lstm"), "")


def test_a_recipe_by_its_former_name(gesta) -> None:
    code, out, err = gesta("recipes", "tutorial/c3d-small")
    assert (code, out) == (0, read_text("c3d-small"))
    assert err == "Note: the recipe tutorial/c3d-small is now called c3d-small; the former name still works.\n"
