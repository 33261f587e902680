"""Golden outputs: the results of every command for every kind of model, recorded before a refactoring, compared after.

    python tools/golden.py take DIR [--src PATH] [--only SECTION ...] [--renames] [--scratch DIR]
    python tools/golden.py compare OLD NEW [--learn] [--tolerance 1e-4] [--strict]

`take` runs the commands in golden_steps.yaml with the gesta in PATH, each in a separate process in a scratch folder,
and writes DIR/SECTION/STEP.json: the exit code, the JSON on stdout, the first line of an error, and the manifests and
file hashes that the step wrote. Times, paths, dates and the machine are masked. `--renames` applies RENAMES to the
commands, for a PATH after the renaming. `compare` applies RENAMES to OLD and lists the differences. `compare OLD AGAIN
--learn`, with two takes of the same state, stores what varies between runs in OLD/volatile.json, to be ignored later.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib
import json
import math
import os
import re
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TIMEOUT_S = 600
FIXED = {"COLUMNS": "1000", "NO_COLOR": "1", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
HEAVY = ("torch", "lightning", "openvino", "onnxruntime", "cv2", "av", "matplotlib.pyplot", "scipy.stats", "optuna")
"""Packages that are imported once for all steps."""

_TABLE = yaml.safe_load((HERE / "golden_meant.yaml").read_text(encoding="utf-8"))
RENAMES: dict[str, dict[str, str | None]] = _TABLE["renames"]
"""Old name -> new name, by kind of name."""
MEANT: dict[str, str] = _TABLE["meant"]
"""Pattern of SECTION/STEP/PATH -> reason for an intended difference, which `compare` shows but does not count."""

MASKED_KEYS = re.compile(
    r"(seconds|minutes|hours|created|date|machine|machines|versions?|gesta|latency|latencies|speed|rates?_per|host|cpu"
    r"|platform|threads|peak_\w+|key|waiting_s|\w+_per_s|of_network_rate|share_of_decoding|waiting_share"
    r"|\w+_seconds|seconds_\w+|\w+_per_second|per_second|times?|\w*_ms(_\w+)?)"
)
MASKED_TEXT = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(\+\d\d:\d\d|Z)?"), "<date>"),
    (re.compile(r"\b\d+(\.\d+)? ?(ms|s|min|h|minutes?|seconds?|hours?)\b(?! of)"), "<time>"),
    (re.compile(r"events\.out\.tfevents\.\S+"), "<events>"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "<key>"),  # key of a job, which depends on the name of its module
)
HASHED = {".json", ".csv", ".safetensors", ".yaml", ".xml", ".bin", ".onnx", ".npz", ".npy", ".txt"}


# ---------------------------------------------------------------------------------------------------------------- take


def take(folder: Path, src: Path, only: list[str], rename: bool, scratch: Path) -> None:
    """Runs the steps of the sections and writes their results; prints the duration of each."""
    table = yaml.safe_load((HERE / "golden_steps.yaml").read_text(encoding="utf-8"))
    short = table.pop("short")
    added = _TABLE["added"] if rename else {}
    short |= {name: f"{short[name]} {words}" for name, words in added.items()}
    unknown = [name for name in only if name not in table]
    if unknown:
        sys.exit(f"unknown section {unknown[0]}; choose from {', '.join(table)}")
    for package in HEAVY:
        importlib.import_module(package)
    for section in only or table:
        started, here = time.perf_counter(), scratch / section
        here.mkdir(parents=True)
        (folder / section).mkdir(parents=True, exist_ok=True)
        for name, line in table[section].items():
            words = shlex.split(line.format(**short, bundles=ROOT / "tests" / "bundles_v1"))
            answer = run_step([by_words(word) for word in words] if rename else words, here, src)
            text = json.dumps(answer, indent=1, sort_keys=True, ensure_ascii=False)
            (folder / section / f"{name}.json").write_text(text + "\n", encoding="utf-8")
            print(f"{section:9} {name:28} exit {answer['exit']}  {answer['took']:6.1f} s CPU", flush=True)
        print(f"{section}: {time.perf_counter() - started:.0f} s", flush=True)


def run_step(words: list[str], scratch: Path, src: Path) -> dict[str, Any]:
    """Runs a command in `scratch`; returns its exit code, output, error and files, masked. `took`: CPU seconds."""
    before = stamps(scratch)
    out, err = scratch / ".stdout", scratch / ".stderr"
    code, took = forked(words, scratch, out, err)
    answer: dict[str, Any] = {"command": " ".join(words), "exit": code, "stdout": documents(out.read_text())}
    if code:
        answer["message"] = first_line(err.read_text())
    wrote: dict[str, list[Any]] = {}
    for path, stamp in stamps(scratch).items():
        if before.get(path) != stamp and not path.parts[0].startswith("."):
            found = masked(content(scratch / path), scratch, src)
            wrote.setdefault(masked_text(str(path), scratch, src), []).append(found)
    files = {name: sorted(found, key=json.dumps) for name, found in wrote.items()}
    return {**masked(answer, scratch, src), "files": files, "took": round(took, 1)}


def forked(words: list[str], folder: Path, out: Path, err: Path) -> tuple[int, float]:
    """Runs `gesta words` in a fork of this process, which has imported HEAVY; returns (exit code, CPU seconds)."""
    child = os.fork()
    if not child:
        os.setsid()
        os.chdir(folder)
        for path, stream in ((out, 1), (err, 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        os.environ["GESTA_CACHE"], sys.argv = str(folder / ".cache"), ["gesta", *words]
        os._exit(in_child())
    started = time.perf_counter()
    while not (done := os.wait4(child, os.WNOHANG))[0]:
        time.sleep(0.02)
        if time.perf_counter() - started > TIMEOUT_S:
            os.killpg(child, signal.SIGKILL)
            started = math.inf
    return os.waitstatus_to_exitcode(done[1]), done[2].ru_utime + done[2].ru_stime


def in_child() -> int:
    code: Any = 0
    try:
        from gesta.cli import main

        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


def stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file()
    }


def documents(out: str) -> Any:
    """The JSON document on stdout, or one per line; the lines themselves if they are not JSON."""
    lines = [line for line in out.splitlines() if line.strip()]
    try:
        found = [json.loads(line) for line in lines]
    except json.JSONDecodeError:
        return lines
    return found[0] if len(found) == 1 else found


def content(path: Path) -> Any:
    """The part of a file to compare: the content of a document or table, or the hash if it is reproducible."""
    if path.suffix == ".json" and path.stat().st_size < 200_000:
        return json.loads(path.read_text(encoding="utf-8"))
    if path.suffix == ".csv" and path.stat().st_size < 200_000:
        with path.open(encoding="utf-8", newline="") as stream:
            return [{str(key): number(value) for key, value in row.items()} for row in csv.DictReader(stream)]
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.suffix in HASHED else "written"


def number(text: Any) -> Any:
    try:
        return float(text)
    except (TypeError, ValueError):
        return text


def first_line(err: str) -> str:
    """The error message: the first line that starts with Error, otherwise the last line."""
    lines = [line.strip(" │") for line in err.splitlines() if line.strip(" │╭─╮╰╯")]
    return next((line for line in lines if line.startswith("Error")), lines[-1] if lines else "")


def masked(value: Any, scratch: Path, src: Path, whole: bool = False) -> Any:
    """`value` without what varies between runs and folders. `whole`: mask all values and keep only the keys."""
    if isinstance(value, Mapping):
        return {
            masked_text(key, scratch, src): masked(item, scratch, src, whole or bool(MASKED_KEYS.fullmatch(key)))
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [masked(item, scratch, src, whole) for item in value]
    if whole and value is not None and not isinstance(value, bool):
        return "<masked>"
    return masked_text(value, scratch, src) if isinstance(value, str) else value


def masked_text(text: str, scratch: Path, src: Path) -> str:
    for path, name in ((scratch, "<scratch>"), (src, "<src>"), (ROOT, "<root>")):
        text = text.replace(str(path), name)
    for pattern, name in MASKED_TEXT:
        text = pattern.sub(name, text)
    return text


# ------------------------------------------------------------------------------------------------------------- compare


def compare(old: Path, new: Path, learn: bool, tolerance: float, strict: bool) -> int:
    """Prints every difference with step and path; returns how many count. `learn`: stores them as volatile instead."""
    kept = old / "volatile.json"
    volatile = set(json.loads(kept.read_text(encoding="utf-8"))) if kept.is_file() else set()
    found, said = [], []
    for file in sorted(old.glob("*/*.json")):
        step = str(file.relative_to(old).with_suffix(""))
        if not (new / file.parent.name).is_dir():
            continue  # a section that was not run
        if not (new / file.relative_to(old)).is_file():
            (said if reason_of(step) else found).append((step, "", reason_of(step) or "the step is not in NEW"))
            continue
        read = [json.loads((at / file.relative_to(old)).read_text(encoding="utf-8")) for at in (old, new)]
        was, now = (renamed(masked(document, HERE, HERE)) for document in read)  # there may be more masks now
        for path, what in differences(was, now, tolerance):
            if path.startswith(("/took", "/command")) or f"{step}{path}" in volatile:
                continue
            reason = reason_of(f"{step}{path}")
            quiet = reason is not None or (path == "/message" and not strict)
            (said if quiet else found).append((step, path, f"{what} ({reason})" if reason else what))
    if learn:
        kept.write_text(json.dumps(sorted(volatile | {step + path for step, path, _ in found + said}), indent=1) + "\n")
        print(f"{len(found) + len(said)} differences are ignored from now on: {kept}")
        return 0
    for title, items in (("differs", found), ("not counted", said)):
        for step, path, what in items:
            print(f"{title}: {step}{path}: {what}")
    print(f"{len(found)} differences, and {len(said)} not counted: wording of errors, or intended")
    return len(found)


def reason_of(place: str) -> str | None:
    """The reason for an intended difference at this place, or None."""
    return next((why for pattern, why in MEANT.items() if re.match(pattern, place)), None)


def differences(was: Any, now: Any, tolerance: float, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields (path, difference) for each place where two documents differ; floats with a relative tolerance."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in [*was, *(key for key in now if key not in was)]:
            at = f"{path}/{key}"
            if key not in now:
                yield at, f"is missing; was {brief(was[key])}"
            elif key not in was:
                yield at, f"is new: {brief(now[key])}"
            else:
                yield from differences(was[key], now[key], tolerance, at)
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for i, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from differences(one, other, tolerance, f"{path}/{i}")
    elif not alike(was, now, tolerance):
        yield path, f"was {brief(was)}, is {brief(now)}"


def alike(was: Any, now: Any, tolerance: float) -> bool:
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in (was, now)):
        return bool(was == now)
    return math.isclose(was, now, rel_tol=tolerance, abs_tol=tolerance / 10) or (math.isnan(was) and math.isnan(now))


def brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 160 else f"{text[:157]}..."


# ------------------------------------------------------------------------------------------------------------- renames


def by_words(text: str) -> str:
    """`text` with old names of options, recipes and settings replaced, but not inside longer words."""
    for former, name in RENAMES["words"].items():
        text = re.sub(rf"(?<![\w/.-]){re.escape(former)}(?![\w/-])", name or "", text)
    return text


def renamed(value: Any) -> Any:
    """A document with new names and without omitted keys and files; tensors are sorted by name."""
    if isinstance(value, dict):
        names = {**RENAMES["keys"], **RENAMES["files"]}
        pairs = ((key, names.get(key, names.get(Path(key).name, key)), item) for key, item in value.items())
        return {
            by_words(key if name is key else str(Path(key).with_name(name))): renamed(item)
            for key, name, item in pairs
            if name is not None
        }
    if isinstance(value, list):
        return sorted((renamed(item) for item in value), key=tensor_name)
    if isinstance(value, str):
        return RENAMES["values"].get(value) or by_words(value)
    return value


def tensor_name(item: Any) -> str:
    """Sort key of tensors, whose order from safetensors is arbitrary; other items keep their order."""
    return str(item["name"]) if isinstance(item, dict) and {"name", "dense_bytes"} <= item.keys() else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    taking = commands.add_parser("take", help="run the steps and write their results")
    taking.add_argument("folder", type=Path)
    taking.add_argument("--src", type=Path, default=ROOT / "src", help="folder with the package gesta")
    taking.add_argument("--only", nargs="+", default=[], metavar="SECTION")
    taking.add_argument("--renames", action="store_true", help="apply RENAMES to the commands")
    comparing = commands.add_parser("compare", help="list differences; exit code 1 if there are any")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    comparing.add_argument("--learn", action="store_true", help="ignore all differences from now on")
    comparing.add_argument("--tolerance", type=float, default=1e-4)
    comparing.add_argument("--strict", action="store_true", help="also count the wording of errors")
    taking.add_argument("--scratch", type=Path, help="an empty folder to keep for inspection")
    given = parser.parse_args()
    if given.command == "take":
        environment = {"PYTHONPATH": str(given.src.resolve()), **FIXED}
        if any(os.environ.get(name) != value for name, value in environment.items()):
            os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **environment})
        with tempfile.TemporaryDirectory(prefix="golden-") as temporary:
            scratch = (given.scratch or Path(temporary)).resolve()
            take(given.folder, given.src.resolve(), given.only, given.renames, scratch)
    else:
        sys.exit(bool(compare(given.old, given.new, given.learn, given.tolerance, given.strict)))


if __name__ == "__main__":
    main()
