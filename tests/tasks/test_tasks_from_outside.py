"""The task of docs/add_a_task.md, as it stands on that page: a package beside gesta that only an entry point names."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gesta.cli import main
from gesta.tasks import catalog

pytestmark = pytest.mark.integration

pytest.importorskip("torch")
PAGE = (Path(__file__).parents[2] / "docs" / "add_a_task.md").read_text(encoding="utf-8")
Run = Callable[..., subprocess.CompletedProcess[str]]


def blocks() -> dict[str, str]:
    """File name -> content, of every block that begins with one."""
    return dict(re.findall(r"```\w+\n# (\S+\.\w+)\n(.*?)```", PAGE, re.S))


def shown() -> dict[str, tuple[list[str], list[str]]]:
    """Command -> (its arguments, the lines that the page shows of what it prints)."""
    (session,) = re.findall(r"```console\n(.*?)```", PAGE, re.S)
    found = {}
    for part in session.split("$ gesta ")[1:]:
        line, *printed = part.splitlines()
        found[line.split()[0]] = (shlex.split(line), printed)
    return found


def install(place: Path) -> None:
    """What pip does with the page's files: the package, and its entry points beside it."""
    files = blocks()
    for name, body in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(body, encoding="utf-8")
    project = tomllib.loads(files["pyproject.toml"])["project"]
    facts = place / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    facts.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (facts / "METADATA").write_text(head, encoding="utf-8")
    points = "\n".join(f"{name} = {value}" for name, value in project["entry-points"]["gesta.tasks"].items())
    (facts / "entry_points.txt").write_text(f"[gesta.tasks]\n{points}\n", encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("outside")
    install(found / "installed")
    subprocess.run([sys.executable, found / "installed" / "make_rows.py"], cwd=found, check=True)
    return found


def program(place: Path, code: str, *arguments: object, installed: bool = True) -> subprocess.CompletedProcess[str]:
    paths = [str(place / "installed")] * installed + [path for path in sys.path if path]
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=place,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@contextlib.contextmanager
def installed(place: Path) -> Iterator[None]:
    """As in a new process in this folder, with what is installed there: nothing of it was imported before."""
    here = Path.cwd()
    catalog._places.cache_clear()
    sys.path.insert(0, str(place / "installed"))
    os.chdir(place)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        os.chdir(here)
        sys.path.remove(str(place / "installed"))
        for name in [name for name in sys.modules if name.split(".")[0] == "rows"]:
            del sys.modules[name]
        catalog._places.cache_clear()


def gesta(place: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    words, out, err = ["gesta", *map(str, arguments)], io.StringIO(), io.StringIO()
    with installed(place), pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(sys, "argv", words)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    return subprocess.CompletedProcess(words, int(end.value.code or 0), out.getvalue(), err.getvalue())


def as_shown(place: Path, command: str) -> str:
    """What a command of the page prints. Its lines begin as the page shows them."""
    arguments, expected = shown()[command]
    done = gesta(place, *arguments)
    assert done.returncode == 0, done.stderr
    said = {" ".join(line.split()[:2]) if line.startswith("│") else line.split()[0] for line in lines(done.stdout)}
    for line in expected:
        begins = " ".join(line.split()[:2]) if line.startswith("│") else line.split()[0]
        assert begins in said, (line, done.stdout)
    return done.stdout


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def trained(place: Path) -> str:
    """What the training of the page prints; it leaves run/bundle."""
    return as_shown(place, "train")


def test_it_is_trained_and_measured_on_a_person_it_has_not_seen(place: Path, trained: str) -> None:
    assert "validation rows" in trained
    assert "accuracy" in as_shown(place, "evaluate")
    found = json.loads((place / "report" / "metrics.json").read_text(encoding="utf-8"))
    assert found["accuracy"] > 0.85 and found["n"] == 60 and found["people"] == 1 and found["warnings"] == []
    report = (place / "report" / "report.html").read_text(encoding="utf-8")
    assert "evaluated on 60 labeled rows" in report and "clips" not in report.partition("<pre>")[0]
    assert (place / "report" / "predictions.csv").exists()
    assert json.loads((place / "run" / "bundle" / "manifest.json").read_text(encoding="utf-8"))["kind"] == "rows"


def test_it_predicts_files_and_names_a_wrong_one(place: Path, trained: str) -> None:
    assert trained
    (place / "new.csv").write_text("y,x\n-1.2,1.1\n0.9,-1.3\nred,1\n", encoding="utf-8")
    (place / "wide.csv").write_text("x,y,z\n1,2,3\n", encoding="utf-8")
    (place / "text.csv").write_bytes(b"\xff\xfe nothing")
    done = gesta(place, "predict", "run/bundle", "new.csv", "wide.csv", "text.csv", "missing.csv", "--json")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["label"] for one in said] == ["right", "left"], "columns are known by name; a label is not needed"
    assert done.returncode == 1
    failed = lines(done.stderr)
    assert len(failed) == 4 and all(line.startswith("Failed:") for line in failed), done.stderr
    reasons = ("line 4", "wide.csv: The model takes arrays [2], not [3].", "text.csv", "missing")
    for line, reason in zip(failed, reasons, strict=True):
        assert reason in line
    done = gesta(place, "predict", "run/bundle", "new.csv", "--stream")
    assert done.returncode == 2 and "--stream does not apply to linear models of rows" in done.stderr


def test_the_python_api_loads_it(place: Path, trained: str) -> None:
    assert trained
    *_, code = re.findall(r"```python\n(import gesta\n.*?)```", PAGE, re.S)
    done = program(place, f"{code}\nimport sys; print('torch' in sys.modules, model.engine.name)")
    assert done.stdout.splitlines()[0] == "right", done.stderr
    assert done.stdout.splitlines()[-1] == "False openvino", "an exported model needs no torch"


def test_without_its_package_a_bundle_says_what_is_missing(place: Path, trained: str) -> None:
    assert trained
    start = "from gesta.cli import main; main()"
    done = program(place, start, "predict", "run/bundle", "data/cleo.csv", installed=False)
    assert done.returncode == 1 and "of the task 'rows', which is not installed" in done.stderr
    assert len(lines(done.stderr)) == 1


def test_wrong_data_and_recipes_are_one_line_errors(place: Path) -> None:
    (place / "empty").mkdir(exist_ok=True)
    recipe = "installed/rows/linear.yaml"
    for arguments, said in (
        (("empty", "--recipe", recipe), "empty: contains no rows of numbers"),
        (("data", "--recipe", "text/words"), "contains data for linear models of rows, but text/words is for language"),
        (("data", "--set", "model.bia=true"), "Did you mean model.bias?"),
        (("data", "--set", "training.epochs=auto"), "numbers for rows, not auto"),
    ):
        done = gesta(place, "train", *arguments, "--out", "none")
        assert done.returncode in (1, 2) and said in done.stderr and len(lines(done.stderr)) == 1, done.stderr


def test_help_and_lists_know_it(place: Path) -> None:
    assert "crossval" in gesta(place, "--help").stdout
    assert "rows/bias" in gesta(place, "reproduce", "list").stdout
    assert "A linear model of rows of numbers." in gesta(place, "recipes").stdout


def test_a_task_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    install(tmp_path / "installed")
    (tmp_path / "installed" / "rows" / "task.py").write_text("this is no Python\n", encoding="utf-8")
    done = gesta(tmp_path, "train", tmp_path)
    assert done.returncode == 1 and "the task 'rows' is registered as rows.task:TASK" in done.stderr
    assert len(lines(done.stderr)) == 1


@pytest.mark.slow
def test_it_is_exported_and_timed(place: Path, trained: str) -> None:
    assert trained
    assert "same top class as PyTorch on 100.0% of 60 validation rows" in as_shown(place, "export")
    assert "Failed" not in gesta(place, "predict", "small", "data/ann.csv", "--engine", "onnxruntime").stderr
    as_shown(place, "benchmark")


@pytest.mark.slow
def test_each_person_is_held_out_once(place: Path) -> None:
    as_shown(place, "crossval")
    found = json.loads((place / "folds" / "crossval.json").read_text(encoding="utf-8"))
    assert found["accuracy"] > 0.9 and found["n"] == 180 and len(found["folds"]) == 3


@pytest.mark.slow
def test_its_table_is_reproduced(place: Path) -> None:
    as_shown(place, "reproduce")
    found = json.loads((place / "tables" / "rows-bias" / "result.json").read_text(encoding="utf-8"))
    assert [row["parameters"] for row in found["rows"]] == [6, 4]
    assert all(row["accuracy"] > 0.85 for row in found["rows"])
