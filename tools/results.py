"""Writes docs/results.md from docs/results/*.json: a file and a table per question, so that figures are stored once.

    python -m tools.results                 writes docs/results.md
    python -m tools.results --check         checks that docs/results.md is up to date; the exit code is 1 if not
    python -m tools.results add NAME DOCUMENT.json --group GROUP --question QUESTION --command COMMAND
                                            stores the output of `gesta reproduce ... --json` as docs/results/NAME.json

A file contains `group`, `order` (in the group), `question`, `commands`, `setting`, `columns` and `rows` (or `document`,
the output of `gesta reproduce --json`, from which they are made), `remarks`, and `not_run`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from gesta.files import write_whole

DOCS = Path(__file__).parents[1] / "docs"
GROUPS = (
    "Gestures in RGB and depth",
    "Compact models",
    "Hand pose",
    "Actions and signs in RGB",
    "Skeletons, few examples, fusion",
    "Streams and events",
    "Text",
    "Speed and scale",
)
HEAD = """<!-- Written by `python -m tools.results` from docs/results/*.json: change those, not this. -->

# Results

Every result on this page was measured with the commands shown, on two CPU cores without a GPU unless stated
otherwise; what has not been measured is listed as not yet run. "±" is the standard deviation over seeds. Times taken
while other jobs ran are too long. `python -m tools.results` writes this page from one JSON file for each question, in
`docs/results/`. What was corrected against the sources: [corrections](corrections.md).
"""


class Question(BaseModel):
    """One file: a question, the commands that answer it, and the table of their results."""

    model_config = ConfigDict(extra="forbid")
    group: str
    order: int
    question: str
    commands: list[str]
    setting: str = ""
    columns: list[str] = []
    rows: list[list[str]] = []
    document: dict[str, Any] | None = None
    remarks: list[str] = []
    not_run: list[str] = []

    @model_validator(mode="after")
    def _complete(self) -> Question:
        if self.group not in GROUPS:
            raise ValueError(f"group {self.group!r}; choose from {', '.join(GROUPS)}")
        if self.document is None and not self.rows:
            raise ValueError("needs rows or a document")
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"a row does not have the {len(self.columns)} columns")
        return self


def questions(folder: Path) -> list[Question]:
    """All questions in the folder, sorted by group and order."""
    found = [Question.model_validate_json(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return sorted(found, key=lambda one: (GROUPS.index(one.group), one.order))


def page(found: list[Question]) -> str:
    """The whole page."""
    parts = [HEAD]
    for group in GROUPS:
        inside = [one for one in found if one.group == group]
        parts += [f"## {group}\n"] * bool(inside) + [_section(one) for one in inside]
    return "\n".join(parts)


def _section(one: Question) -> str:
    columns, rows = (one.columns, one.rows) if one.document is None else reproduced(one.document)
    head = "| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|"
    table = "\n".join([head, *("| " + " | ".join(row) + " |" for row in rows)])
    missing = ["Not yet run: " + "; ".join(one.not_run) + "."] if one.not_run else []
    commands = ["\n".join(f"    {command}" for command in one.commands)] if one.commands else []
    setting = [one.setting] if one.setting else []
    return "\n\n".join([f"### {one.question}", *commands, *setting, table, *one.remarks, *missing]) + "\n"


def reproduced(document: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a table from `gesta reproduce --json`, with reported and measured values."""
    measure = document["measure"]
    columns = [
        "setting",
        f"reported {measure}",
        f"measured {measure}",
        "by seed",
        "test clips",
        "parameters",
        "minutes",
    ]
    rows = [
        [
            str(row["label"]),
            _number(row["reported"]),
            _spread(row["measured"]),
            ", ".join(map(_number, row["measured"])),
            str(row.get("n", "")),
            f"{row['parameters'] / 1e6:.2f} M" if row.get("parameters") else "",
            f"{row['minutes']:.1f}" if row.get("minutes") else "",
        ]
        for row in document["rows"]
    ]
    kept = [column for column in range(len(columns)) if any(row[column] for row in rows)]
    return [columns[column] for column in kept], [[row[column] for column in kept] for row in rows]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _spread(values: list[float]) -> str:
    if len(values) < 2:
        return ", ".join(map(_number, values))
    return f"{_number(statistics.mean(values))} ± {_number(statistics.stdev(values))}"


def add(folder: Path, arguments: argparse.Namespace) -> None:
    """Stores a document; an existing question keeps its order, setting and remarks."""
    path = folder / f"{arguments.name}.json"
    document = json.loads(Path(arguments.document).read_text(encoding="utf-8"))
    document = {
        key: document[key] for key in ("name", "measure", "rows", "note", "scale", "seconds") if key in document
    }
    last = max((one.order for one in questions(folder) if one.group == arguments.group), default=0)
    former = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"order": last + 1}
    former |= {"group": arguments.group, "question": arguments.question, "commands": arguments.command}
    former = {key: value for key, value in former.items() if key not in ("rows", "columns")} | {"document": document}
    write_whole(path, Question.model_validate(former).model_dump_json(indent=1, exclude_defaults=True) + "\n")


def main(argv: list[str] | None = None) -> int:
    """Runs the command described above; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.results", description="Write docs/results.md from docs/results/*.json."
    )
    parser.add_argument("--check", action="store_true", help="only check that results.md is up to date")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder with results.md and results/")
    adding = parser.add_subparsers(dest="what").add_parser("add", help="store the output of gesta reproduce --json")
    adding.add_argument("name")
    adding.add_argument("document")
    adding.add_argument("--group", required=True, choices=GROUPS)
    adding.add_argument("--question", required=True)
    adding.add_argument("--command", required=True, action="append")
    arguments = parser.parse_args(argv)
    if arguments.what == "add":
        add(arguments.docs / "results", arguments)
    text, target = page(questions(arguments.docs / "results")), arguments.docs / "results.md"
    if arguments.check and target.read_text(encoding="utf-8") != text:
        print(f"{target}: does not match docs/results/. Run python -m tools.results.", file=sys.stderr)
        return 1
    if not arguments.check:
        write_whole(target, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
