"""The command line as a whole: fast help, exit codes, JSON alone on stdout, no torch where it is not needed."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from gesta.cli import COMMANDS, app
from gesta.cli.common import command
from gesta.cli.data import parse_size
from gesta.cli.help import first_line
from gesta.cli.learning_curve import _numbers
from gesta.experiments import tables
from gesta.schema import GestaError

HEAVY = ("torch", "lightning", "openvino", "av", "cv2", "matplotlib")


def run(*arguments: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    start = ["-c", code] if code else ["-c", "from gesta.cli import main; main()", *arguments]
    return subprocess.run([sys.executable, *start], capture_output=True, text=True, timeout=120)


def cpu_seconds(*command: str) -> float:
    """Processor time of a process, the best of three: unlike the clock, it does not count waiting for others."""
    best = float("inf")
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, *command], capture_output=True, check=True, timeout=120)
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        best = min(best, used)
    return best


def test_importing_gesta_is_quick_and_without_heavy_parts():
    asked = run(code=f"import sys, gesta; print([m for m in {HEAVY} if m in sys.modules])")
    assert asked.stdout.strip() == "[]", asked.stdout + asked.stderr
    assert cpu_seconds("-c", "import gesta") - cpu_seconds("-c", "pass") < 0.3


def test_help_is_quick():
    bare = cpu_seconds("-c", "pass")
    assert (
        cpu_seconds("-c", "import sys; sys.argv = ['gesta', '--help']; from gesta.cli import app; app()") - bare < 0.5
    )


def test_every_command_has_help_without_torch():
    code = (
        "import sys\n"
        "from gesta.cli import main\n"
        f"for command in {list(COMMANDS)!r}:\n"
        "    sys.argv = ['gesta', command, '--help']\n"
        "    try: main()\n"
        "    except SystemExit as end: assert not end.code, command\n"
        "assert 'torch' not in sys.modules and 'openvino' not in sys.modules"
    )
    shown = run(code=code)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("Usage") == len(COMMANDS)


def helps():
    """(words of a command, its help) of every command, and of every command below one."""
    for name in COMMANDS:
        top = typer.main.get_command(app).get_command(None, name)
        below = getattr(top, "commands", {})
        for words, one in [(name, top), *((f"{name} {key}", value) for key, value in below.items())]:
            with typer.Context(one, info_name=f"gesta {words}") as context:
                yield words, one, one.get_help(context)


def test_every_help_says_what_it_does_shows_an_example_and_no_type_of_python():
    for words, asked, text in helps():
        assert text.startswith(f"Usage: gesta {words} [OPTIONS]")
        if words in COMMANDS:
            assert first_line(asked.help) == COMMANDS[words]
        if not hasattr(asked, "commands"):
            assert re.search(rf"\n  Examples?:\n    gesta {words}", text), words
        assert not re.search(r"<(str|int|float|list|path|bool)|\bNone\b|<class", text), words
        assert all(parameter.help for parameter in asked.params if parameter.name != "help"), words


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["trian", "data"], "no command 'trian'. Did you mean train?"),
        (["inspect", "data"], "no command 'inspect'. Did you mean data inspect?"),
        (["data", "inspekt"], "no command 'inspekt'. Did you mean inspect?"),
        (["train", ".", "--recpie", "auto"], "no option --recpie. Did you mean --recipe?"),
        (["train", ".", "--epochs", "3"], "no option --epochs. It is in the recipe: --set training.epochs=..."),
    ],
)
def test_near_misses_name_what_was_meant(arguments, meant, gesta):
    shown = gesta(*arguments)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert meant in shown.stderr


def test_help_lists_every_command(gesta):
    shown = gesta("--help")
    assert shown.exit_code == 0
    assert all(command in shown.stdout for command in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["nonsense"], "nonsense"),
        (["crossval"], "DATA"),
        (["crossval", "no_such_folder"], "no_such_folder"),
        (["crossval", ".", "--by", "color"], "color"),
        (["crossval", ".", "--by", "²"], "--by is '²'"),
        (["crossval", "no:x:folder"], "no:x:folder: no such data folder"),
        (["crossval", ".", "--recipe", "auro"], "auto"),
        (["crossval", ".", "--set", "training.epoch=3"], "epochs"),
        (["reproduce", "mullick/table-3.9"], "mullick/table-3.1"),
        (["reproduce", "mullick/table-3.2", "--scale", "huge"], "quick"),
        (["demo", "--set", "training.epoch=3"], "epochs"),
        (["train", ".", "--seed", "-1"], "--seed"),
        (["compress", "bundle", ".", "--out", "out", "--seed", "-1"], "--seed"),
        (["export", "bundle", "--to", "onnx", "--out", "out", "--seed", "-1"], "--seed"),
        (["data", "make", "chalearn2014", "."], "an empty or new folder"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_names_the_way_out(arguments, names, tmp_path, monkeypatch, gesta):
    (tmp_path / "wave").mkdir()
    (tmp_path / "wave" / "one.mp4").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    shown = gesta(*arguments)
    assert shown.exit_code == 2, shown.stderr
    assert names in shown.stderr
    assert shown.stdout == ""


def test_a_process_ends_with_the_exit_code_and_no_traceback():
    shown = run("crossval", "no_such_folder")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "no_such_folder" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_the_extra_that_a_command_names_brings_what_it_needs():
    root = Path(__file__).parents[2]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    brings = {name: {re.split(r"[<>=]", one)[0] for one in held} for name, held in extras.items()}
    found = []
    for file in sorted((root / "src" / "gesta" / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "need"
                and isinstance(node.args[0], ast.Constant)
            ):
                extra, *modules = (ast.literal_eval(one) for one in node.args)
                found.append((file.name, extra))
                assert set(modules) <= brings[extra], f"{file.name}: gesta[{extra}] does not bring all of {modules}"
    assert ("export.py", "train") in found and ("export.py", "export") in found


def test_a_table_in_a_pipe_keeps_its_cells_whole():
    code = (
        "from rich.table import Table\n"
        "from gesta.cli.common import emit\n"
        "table = Table('name', 'value')\n"
        "table.add_row('n' * 100, 'v' * 100)\n"
        "emit({}, table, False)"
    )
    printed = run(code=code).stdout
    assert "n" * 100 in printed and "v" * 100 in printed


def test_no_console_turns_names_into_pictures():
    printed = run(code="from gesta.cli.common import emit; emit({}, 'random:x:', False)").stdout
    assert printed == "random:x:\n"
    for file in (Path(__file__).parents[2] / "src" / "gesta").rglob("*.py"):
        source = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)) if "Console" in source else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Console":
                assert any(k.arg == "emoji" for k in node.keywords), f"{file.name}: Console without emoji=False"


def test_a_next_command_can_be_copied():
    assert command("gesta", "predict", Path("my runs") / "bundle", "VIDEO") in (
        "gesta predict 'my runs/bundle' VIDEO",
        "gesta predict 'my runs\\bundle' VIDEO",
    )
    for file in (Path(__file__).parents[2] / "src" / "gesta" / "cli").glob("*.py"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not re.search(r'f"next +gesta .*\{', line), f"{file.name}: a path that no shell takes: {line}"


@pytest.mark.parametrize("read", [_numbers, parse_size])
def test_digits_that_are_no_numbers(read):
    with pytest.raises(GestaError, match="'²x²'"):
        read("²x²")


def test_json_is_one_document_on_stdout_and_nothing_else(gesta):
    shown = gesta("reproduce", "list", "--json")
    assert shown.exit_code == 0
    document = json.loads(shown.stdout)
    assert list(document["tables"]) == list(tables.every())
    assert shown.stdout.count("\n") == 1
