"""What each step of compression cost, and which result to take: rows, choice, table, figure.

A row is a network in one precision, as the weights' file ("stored", run by PyTorch) and as the exported network
("runnable"). Choosing looks at validation people alone; the test people are for the table.
"""

from __future__ import annotations

import io as streams
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gesta.metrics import paired_difference

Row = dict[str, Any]
FORMS = ("stored", "runnable")
HEADS = (
    "#",
    "step",
    "precision",
    "parameters",
    "nonzero",
    "stored bytes",
    "stored accuracy",
    "runnable bytes",
    "runnable accuracy",
    "difference to the reference",
)
"""And the latency, of a chunk or what else the document's "unit" says."""
ADVICE = "Slim further (--keep), train longer (--epochs), or ask for less."


def difference(row: Mapping[str, Any], reference: Mapping[str, Any], subjects: Mapping[str, str | None]) -> Any:
    """Accuracy of one form of a row minus the reference's, on the test clips of both, with its interval by person.

    Both have "hits", clip -> right or wrong. {"mean", "low", "high"} in points; None with fewer than two people.
    """
    ours, theirs = row.get("hits") or {}, reference.get("hits") or {}
    both = [name for name in ours if name in theirs]
    people = [subjects.get(name) for name in both]
    if len({p for p in people if p is not None}) < 2 or None in people:
        return None
    rng = np.random.default_rng(0)
    found = paired_difference([ours[n] for n in both], [theirs[n] for n in both], people, rng)
    return {"mean": 100 * found.mean, "low": 100 * found.low, "high": 100 * found.high}


def choose(
    rows: Sequence[Row],
    reference: float | None,
    target_bytes: int | None,
    max_drop: float | None,
    advice: str = ADVICE,
) -> dict[str, Any]:
    """For each form the row that meets the wishes by validation, or None and "why", which ends with `advice`.

    With `target_bytes`: the most accurate of those small enough; otherwise the smallest that loses at most `max_drop`
    points to `reference`, the reference's accuracy on validation. Of equals the smaller.
    """
    found: dict[str, Any] = {}
    for form in FORMS:
        there = [i for i, row in enumerate(rows) if row[form].get("val") is not None]
        fit = [
            i
            for i in there
            if (target_bytes is None or rows[i][form]["bytes"] <= target_bytes)
            and (max_drop is None or reference is None or drop(rows[i][form]["val"], reference) <= max_drop)
        ]
        if fit:
            size = {i: rows[i][form]["bytes"] for i in fit}
            by_accuracy = min(fit, key=lambda i: (-rows[i][form]["val"], size[i]))
            found[form] = by_accuracy if target_bytes is not None else min(fit, key=lambda i: size[i])
        else:
            found[form] = None
            found[f"{form}_why"] = f"{_why(rows, there, form, reference, target_bytes, max_drop)}. {advice}"
    return found


def drop(accuracy: float, reference: float) -> float:
    """Points lost to the reference, to a millionth: 0.9 - 0.89 is 1."""
    return round(100 * (reference - accuracy), 6)


def _why(
    rows: Sequence[Row],
    there: Sequence[int],
    form: str,
    reference: float | None,
    target_bytes: int | None,
    max_drop: float | None,
) -> str:
    wishes = []
    if target_bytes is not None:
        wishes.append(f"at most {target_bytes:,} bytes")
    if max_drop is not None:
        wishes.append(f"at most {max_drop:g} points lost on validation")
    if not there:
        return f"no {form} network could be measured on validation clips"
    small = min(there, key=lambda i: rows[i][form]["bytes"])
    best = max(there, key=lambda i: rows[i][form]["val"])
    text = f"no {form} network has {' and '.join(wishes)}. Smallest: {named(rows[small])}, "
    text += f"{rows[small][form]['bytes']:,} bytes"
    if reference is not None:
        text += f", loses {drop(rows[small][form]['val'], reference):.1f} points"
        text += f"; most accurate: {named(rows[best])}, loses {drop(rows[best][form]['val'], reference):.1f}"
    return text


def table(document: Mapping[str, Any]) -> list[list[str]]:
    """HEADS and a line a row, as text; a star marks what was chosen."""
    lines = [[*HEADS, f"ms a {document.get('unit', 'chunk')} p50 / p95"]]
    for number, row in enumerate(document["rows"]):
        stored, runnable = row["stored"], row["runnable"]
        latency = runnable.get("latency_ms")
        gap = runnable.get("difference") or stored.get("difference")
        stars = {form: "*" if document["chosen"].get(form) == number else "" for form in FORMS}
        lines.append(
            [
                str(number + 1),
                row["step"],
                row["precision"],
                f"{row['parameters']:,}",
                f"{row['nonzero']:,}",
                f"{stored['bytes']:,}{stars['stored']}",
                _accuracy(stored),
                f"{runnable['bytes']:,}{stars['runnable']}" if "bytes" in runnable else "-",
                _accuracy(runnable),
                f"{gap['mean']:+.1f} [{gap['low']:+.1f}, {gap['high']:+.1f}]" if gap else "-",
                f"{latency[0]:.2f} / {latency[1]:.2f}" if latency else "-",
            ]
        )
    return lines


def markdown(document: Mapping[str, Any]) -> str:
    """The table with what one must know to read it."""
    return page(document, table(document))


def page(document: Mapping[str, Any], rows: Sequence[Sequence[str]]) -> str:
    """A table, its head first, under the command and above the notes, the machine and the figure."""
    head, *body = rows
    lines = ["# Compression, step by step", "", f"    {document['command']}", ""]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(line) + " |" for line in body]
    lines += ["", *(f"- {note}" for note in document["notes"]), f"- Machine: {document['machine']}", ""]
    return "\n".join(lines) + "\n![frontier](frontier.png)\n"


def draw(document: Mapping[str, Any], path: Path) -> None:
    """Writes a PNG: accuracy on test people (validation, where there are none) by bytes and by latency.

    The numbers beside the marks are the table's; the dotted line is the reference.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    for form, mark, colour in (("stored", "o", "C0"), ("runnable", "s", "C1")):
        _marks(left, document["rows"], form, "bytes", mark, colour, f"{form} file")
    _marks(right, document["rows"], "runnable", "latency_ms", "s", "C1", "p50; line to p95")
    reference = document["reference"]
    for axes in (left, right):
        if reference["accuracy"] is not None:
            axes.axhline(100 * reference["accuracy"], color="0.4", linestyle=":", linewidth=1, label=reference["step"])
        axes.grid(alpha=0.3)
    plain_log(left, in_bytes)
    plain_log(right, lambda value: f"{value:g}")
    if document["target_bytes"]:
        left.axvline(document["target_bytes"], color="C3", linestyle="--", linewidth=1, label="wanted bytes")
    left.set(xlabel="bytes", ylabel=f"accuracy on {reference['people']} people, %")
    right.set(xlabel=f"milliseconds a {document.get('unit', 'chunk')}, one core")
    for axes in (left, right):
        axes.legend(loc="best", fontsize=8, framealpha=0.7)
    save_figure(figure, path)


def save_figure(figure: Any, path: Path) -> None:
    """Writes a PNG under a temporary name and renames it."""
    buffer = streams.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(buffer.getvalue())
    partial.replace(path)


def in_bytes(value: float) -> str:
    """500000 -> "500 kB"."""
    return f"{value / 1e6:g} MB" if value >= 1e6 else f"{value / 1e3:g} kB"


def plain_log(axes: Any, text: Callable[[float], str]) -> None:
    """A logarithmic axis of at least a decade, its ticks in plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    if high / low < 10:
        axes.set_xlim(low * (high / low / 10) ** 0.5, high * (10 * low / high) ** 0.5)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _place: text(value))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _marks(axes: Any, rows: Sequence[Row], form: str, by: str, mark: str, colour: str, label: str) -> None:
    for number, row in enumerate(rows):
        one = row[form]
        found = shown(one)
        if found is None or not one.get(by):
            continue
        accuracy, interval = found
        x = one[by] if by == "bytes" else one[by][0]
        low, high = interval or (accuracy, accuracy)
        axes.vlines(x, 100 * low, 100 * high, color=colour, alpha=0.35, linewidth=1)
        if by != "bytes":
            axes.hlines(100 * accuracy, x, one[by][1], color=colour, alpha=0.6, linewidth=1)
        axes.plot(x, 100 * accuracy, mark, color=colour, markersize=6, label=label)
        above = 5 + 9 * (number % 3) if form == "stored" else -11 - 9 * (number % 3)  # neighbours keep apart
        place = {"textcoords": "offset points", "xytext": (0, above), "ha": "center"}
        axes.annotate(str(number + 1), (x, 100 * accuracy), fontsize=8, color=colour, **place)
        label = "_"  # once in the legend


def shown(one: Mapping[str, Any]) -> tuple[float, Any] | None:
    """(accuracy, its interval or None) on test, else on validation."""
    if one.get("test") is not None:
        return one["test"], one["interval"]
    return (one["val"], None) if one.get("val") is not None else None


def _accuracy(one: Mapping[str, Any]) -> str:
    if "reason" in one:
        return "not exported"
    found = shown(one)
    if found is None:
        return "-"
    accuracy, interval = found
    if interval is None:
        return f"{100 * accuracy:.1f} (val)"
    return f"{100 * accuracy:.1f} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def named(row: Mapping[str, Any]) -> str:
    return f"{row['step']} in {row['precision']}"
