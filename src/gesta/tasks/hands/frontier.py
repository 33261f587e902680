"""What each step of compressing a hand pose model cost: as in `frontier`, by mean joint errors in millimetres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gesta.compression.frontier import LINE, Quality, Row, in_bytes, plain_log
from gesta.training.figure import save_figure


def lost_mm(error: float, reference: float) -> float:
    """Millimetres lost to the reference, to a millionth."""
    return round(error - reference, 6)


def shown(one: Mapping[str, Any]) -> float | None:
    """The error on test frames, else on validation frames."""
    found = one.get("test") if one.get("test") is not None else one.get("val")
    return None if found is None else float(found)


def _error(one: Mapping[str, Any]) -> str:
    error = shown(one)
    return "-" if error is None else f"{error:.2f}"


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
    reference, label = shown(document["reference"]), LINE.format(**document["reference"])
    for axes in (left, right):
        if reference is not None:
            axes.axhline(reference, color="0.4", linestyle=":", linewidth=1, label=label)
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


ERROR = Quality(
    lost=lost_mm,
    unit="mm",
    digits=2,
    best="best",
    advice="Prune with more --epochs, or ask for less.",
    columns={"error (mm)": _error},
    draw=draw,
)
