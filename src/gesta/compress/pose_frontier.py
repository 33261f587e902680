"""What each step of compressing a hand pose model cost, and which result to take: choice, table, figure.

Rows as in `frontier`, with mean joint errors in millimetres in the place of accuracy: less is better. Choosing looks at
validation frames alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gesta.compress.frontier import FORMS, Row, in_bytes, named, page, plain_log, save_figure

HEADS = (
    "#",
    "step",
    "precision",
    "parameters",
    "nonzero",
    "stored bytes",
    "stored error (mm)",
    "runnable bytes",
    "runnable error (mm)",
    "ms a frame p50 / p95",
)


def choose(
    rows: Sequence[Row], reference_mm: float, target_bytes: int | None, max_drop: float | None
) -> dict[str, Any]:
    """For each form the row that meets the wishes by validation, or None and "why".

    With `target_bytes`: the least error of those small enough; otherwise the smallest that loses at most `max_drop` mm
    to the reference. Of equals the smaller.
    """
    found: dict[str, Any] = {}
    for form in FORMS:
        there = [i for i, row in enumerate(rows) if row[form].get("val") is not None]
        fit = [
            i
            for i in there
            if (target_bytes is None or rows[i][form]["bytes"] <= target_bytes)
            and (max_drop is None or rows[i][form]["val"] - reference_mm <= max_drop)
        ]
        size = {i: rows[i][form]["bytes"] for i in there}
        if not fit:
            found[form] = None
            found[f"{form}_why"] = _why(rows, there, form, reference_mm)
        elif target_bytes is not None:
            found[form] = min(fit, key=lambda i: (rows[i][form]["val"], size[i]))
        else:
            found[form] = min(fit, key=lambda i: size[i])
    return found


def _why(rows: Sequence[Row], there: Sequence[int], form: str, reference_mm: float) -> str:
    if not there:
        return f"no {form} network could be measured on validation frames."
    small = min(there, key=lambda i: rows[i][form]["bytes"])
    best = min(there, key=lambda i: rows[i][form]["val"])
    lost = {i: rows[i][form]["val"] - reference_mm for i in (small, best)}
    return (
        f"no {form} network is that small and that good. Smallest: {named(rows[small])}, "
        f"{rows[small][form]['bytes']:,} bytes, loses {lost[small]:.2f} mm; best: {named(rows[best])}, "
        f"{rows[best][form]['bytes']:,} bytes, loses {lost[best]:.2f}. Prune with more --epochs, or ask for less."
    )


def table(document: Mapping[str, Any]) -> list[list[str]]:
    """HEADS and a line a row, as text; a star marks what was chosen."""
    lines = [list(HEADS)]
    for number, row in enumerate(document["rows"]):
        stored, runnable = row["stored"], row["runnable"]
        latency = runnable.get("latency_ms")
        stars = {form: "*" if document["chosen"].get(form) == number else "" for form in FORMS}
        lines.append(
            [
                str(number + 1),
                row["step"],
                row["precision"],
                f"{row['parameters']:,}",
                f"{row['nonzero']:,}",
                f"{stored['bytes']:,}{stars['stored']}",
                _error(stored),
                f"{runnable['bytes']:,}{stars['runnable']}" if "bytes" in runnable else "-",
                _error(runnable),
                f"{latency[0]:.2f} / {latency[1]:.2f}" if latency else "-",
            ]
        )
    return lines


def shown(one: Mapping[str, Any]) -> float | None:
    """The error on test frames, else on validation frames."""
    found = one.get("test") if one.get("test") is not None else one.get("val")
    return None if found is None else float(found)


def _error(one: Mapping[str, Any]) -> str:
    error = shown(one)
    return "-" if error is None else f"{error:.2f}"


def markdown(document: Mapping[str, Any]) -> str:
    """The table with what one must know to read it."""
    return page(document, table(document))


def draw(document: Mapping[str, Any], path: Path) -> None:
    """Writes a PNG: error by bytes and by latency. Numbers beside the marks are the table's; dotted: the reference."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    _marks(left, document["rows"], "stored", "bytes", "o", "C0", "stored file")
    _marks(left, document["rows"], "runnable", "bytes", "s", "C1", "runnable file")
    _marks(right, document["rows"], "runnable", "latency_ms", "s", "C1", "p50")
    reference = shown(document["reference"])
    for axes in (left, right):
        if reference is not None:
            axes.axhline(reference, color="0.4", linestyle=":", linewidth=1, label="start, fp32")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, framealpha=0.7)
    plain_log(left, in_bytes)
    plain_log(right, lambda value: f"{value:g}")
    left.set(xlabel="bytes", ylabel="mean joint error (mm)")
    right.set(xlabel="milliseconds a frame, one core")
    save_figure(figure, path)


def _marks(axes: Any, rows: Sequence[Row], form: str, by: str, mark: str, colour: str, label: str) -> None:
    for number, row in enumerate(rows):
        error, place = shown(row[form]), row[form].get(by)
        if error is None or not place:
            continue
        x = place if by == "bytes" else place[0]
        axes.plot(x, error, mark, color=colour, markersize=6, label=label)
        above = {"textcoords": "offset points", "xytext": (0, 5 + 8 * (number % 3)), "ha": "center"}
        axes.annotate(str(number + 1), (x, error), fontsize=8, color=colour, **above)
        label = "_"  # once in the legend
