"""The trade-off between size and quality over all compression steps: rows, selection, table, figure.

A row is a network in one precision, as a weights file ("stored", run by PyTorch) and as an exported network
("runnable"). Selection uses validation people only; the test people are for the table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gesta.metrics import paired_difference
from gesta.tasks.base import Quality
from gesta.training.figure import empty_figure, save_figure

Row = dict[str, Any]
FORMS = ("stored", "runnable")
OPTIONS = ("keep", "sparsity", "epochs")
"""Options that advice can suggest changing."""
LINE = "{step} in fp32, stored"
"""Name of the reference for differences, which is the dotted line in the figure."""


def lost(value: float, reference: float, quality: Quality) -> float:
    """Returns how much worse a value is than the reference, in points or the unit, to 6 decimals: 0.89 vs 0.9 is 1."""
    gap = reference - value if quality.higher else value - reference
    return round(scale(quality) * gap, 6)


def scale(quality: Quality) -> float:
    """Returns the factor for displaying values: shares are shown in percent."""
    return 100.0 if quality.unit == "%" else 1.0


def unit(quality: Quality) -> str:
    """Returns the unit of differences."""
    return "points" if quality.unit == "%" else quality.unit


def digits(quality: Quality) -> int:
    """Returns the number of decimals to display."""
    return 1 if quality.unit == "%" else 2


def difference(row: Mapping[str, Any], reference: Mapping[str, Any], subjects: Mapping[str, str | None]) -> Any:
    """Returns the accuracy of one form of a row minus the reference's, on common test clips; interval by person.

    Both have "hits", clip -> correct or not. Returns {"mean", "low", "high"} in points; None for fewer than two people.
    """
    ours, theirs = row.get("hits") or {}, reference.get("hits") or {}
    both = [name for name in ours if name in theirs]
    people = [subjects.get(name) for name in both]
    if len({p for p in people if p is not None}) < 2 or None in people:
        return None
    rng = np.random.default_rng(0)
    found = paired_difference([ours[n] for n in both], [theirs[n] for n in both], people, rng)
    return {"mean": 100 * found.mean, "low": 100 * found.low, "high": 100 * found.high}


def advice(options: Collection[str]) -> str:
    """Returns what to try if nothing meets the constraints; `options`: those of OPTIONS that this network supports."""
    more = ", ".join(f"--{name}" for name in ("keep", "sparsity") if name in options)
    first = [f"remove more ({more})"] if more else ["start from a smaller model"]
    return ", ".join([*first, *(["train longer (--epochs)"] if "epochs" in options else [])]).capitalize()


def choose(
    rows: Sequence[Row],
    reference: float | None,
    target_bytes: int | None,
    max_drop: float | None,
    quality: Quality,
    options: Collection[str] = OPTIONS,
) -> dict[str, Any]:
    """Selects for each form the row that meets the constraints on validation, or None with "why", including advice.

    With `target_bytes`: the best row that is small enough; otherwise the smallest row that loses at most `max_drop`
    against `reference`, the reference's value on validation. Ties go to the smaller. `options`: see `advice`.
    """
    found: dict[str, Any] = {}
    for form in FORMS:
        size = {i: row[form]["bytes"] for i, row in enumerate(rows) if row[form].get("val") is not None}
        gone = {i: lost(rows[i][form]["val"], reference or 0.0, quality) for i in size}
        fit = [
            i
            for i in size
            if (target_bytes is None or size[i] <= target_bytes)
            and (max_drop is None or reference is None or gone[i] <= max_drop)
        ]
        if not fit:
            constraints = [f"at most {target_bytes:,} bytes"] if target_bytes is not None else []
            constraints += [f"at most {max_drop:g} {unit(quality)} lost on validation"] if max_drop is not None else []
            why = f"no {form} network could be measured on validation data"
            if size:
                why = f"no {form} network has {' and '.join(constraints)}. {_nearest(rows, size, gone, quality)}"
            found |= {form: None, f"{form}_why": f"{why}. {advice(options)}, or relax the limits."}
        elif target_bytes is not None:
            found[form] = min(fit, key=lambda i: (gone[i], size[i]))
        else:
            found[form] = min(fit, key=lambda i: size[i])
    return found


def _nearest(rows: Sequence[Row], size: Mapping[int, int], gone: Mapping[int, float], quality: Quality) -> str:
    small, best = min(size, key=lambda i: size[i]), min(gone, key=lambda i: gone[i])
    told = {
        i: f"{named(rows[i])}, {size[i]:,} bytes, loses {gone[i]:.{digits(quality)}f} {unit(quality)}"
        for i in (small, best)
    }
    return f"Smallest: {told[small]}; best: {told[best]}"


def table(document: Mapping[str, Any], quality: Quality) -> list[list[str]]:
    """Returns a header and one line per row, as text; a star marks the chosen rows."""
    columns = columns_of(quality, document)
    heads = ["#", "step", "precision", "parameters", "nonzero"]
    heads += [f"{form} {name}" for form in FORMS for name in ("bytes", *columns)]
    lines = [[*heads, f"ms per {document.get('unit', 'chunk')} p50 / p95"]]
    for number, row in enumerate(document["rows"]):
        line = [str(number + 1), row["step"], row["precision"], f"{row['parameters']:,}", f"{row['nonzero']:,}"]
        for form in FORMS:
            one, star = row[form], "*" if document["chosen"].get(form) == number else ""
            line += [f"{one['bytes']:,}{star}" if "bytes" in one else "-", *(text(one) for text in columns.values())]
        latency = row["runnable"].get("latency_ms")
        lines.append([*line, f"{latency[0]:.2f} / {latency[1]:.2f}" if latency else "-"])
    return lines


def markdown(document: Mapping[str, Any], quality: Quality) -> str:
    """Returns the report in Markdown: the command, the table, notes for reading it, and the figure."""
    head, *body = table(document, quality)
    lines = [
        "# Compression, step by step",
        "",
        f"    {document['command']}",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(line) + " |" for line in body),
        "",
        *(f"- {note}" for note in document["notes"]),
        f"- Machine: {document['machine']}",
        "",
    ]
    return "\n".join(lines) + "\n![frontier](frontier.png)\n"


def draw(document: Mapping[str, Any], path: Path, quality: Quality) -> None:
    """Plots the quality on test people (or validation people if there are none) over bytes and latency to a PNG.

    The numbers next to the markers are row numbers of the table; the dotted line is the stored fp32 reference.
    """
    figure = empty_figure(11, 4.8)
    left, right = figure.subplots(1, 2, sharey=True)
    times = scale(quality)
    for form, mark, color in (("stored", "o", "C0"), ("runnable", "s", "C1")):
        _marks(left, document["rows"], form, "bytes", {"marker": mark, "color": color, "label": f"{form} file"}, times)
    _marks(
        right,
        document["rows"],
        "runnable",
        "latency_ms",
        {"marker": "s", "color": "C1", "label": "p50; line to p95"},
        times,
    )
    reference = document["reference"]
    for axes in (left, right):
        if reference["value"] is not None:
            axes.axhline(
                times * reference["value"], color="0.4", linestyle=":", linewidth=1, label=LINE.format(**reference)
            )
        axes.grid(alpha=0.3)
    plain_log(left, in_bytes)
    plain_log(right, lambda value: f"{value:g}")
    if document["target_bytes"]:
        left.axvline(document["target_bytes"], color="C3", linestyle="--", linewidth=1, label="target bytes")
    left.set(xlabel="bytes", ylabel=f"{heading(quality)} on {reference['people']} people")
    right.set(xlabel=f"milliseconds per {document['unit']}, one core")
    for axes in (left, right):
        axes.legend(loc="best", fontsize=8, framealpha=0.7)
    save_figure(figure, path)


def heading(quality: Quality) -> str:
    """Returns the quality's name with its unit: "accuracy, %", "mean error, mm"."""
    words = quality.measured.removesuffix(f"_{quality.unit}").replace("_", " ")
    return f"{words}, {quality.unit}"


def in_bytes(value: float) -> str:
    """Formats a size: 500000 -> "500 kB"."""
    return f"{value / 1e6:g} MB" if value >= 1e6 else f"{value / 1e3:g} kB"


def plain_log(axes: Any, text: Callable[[float], str]) -> None:
    """Makes the x-axis logarithmic, spanning at least a decade, with ticks in plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    if high / low < 10:
        axes.set_xlim(low * (high / low / 10) ** 0.5, high * (10 * low / high) ** 0.5)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _place: text(value))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _marks(axes: Any, rows: Sequence[Row], form: str, by: str, style: dict[str, Any], times: float) -> None:
    color, label = style["color"], style["label"]
    for number, row in enumerate(rows):
        one = row[form]
        found = shown(one)
        if found is None or not one.get(by):
            continue
        value, interval = found
        x = one[by] if by == "bytes" else one[by][0]
        low, high = interval or (value, value)
        axes.vlines(x, times * low, times * high, color=color, alpha=0.35, linewidth=1)
        if by != "bytes":
            axes.hlines(times * value, x, one[by][1], color=color, alpha=0.6, linewidth=1)
        axes.plot(x, times * value, style["marker"], color=color, markersize=6, label=label)
        above = 5 + 9 * (number % 3) if form == "stored" else -11 - 9 * (number % 3)  # keeps neighboring labels apart
        axes.annotate(
            str(number + 1),
            (x, times * value),
            fontsize=8,
            color=color,
            textcoords="offset points",
            xytext=(0, above),
            ha="center",
        )
        label = "_"  # once in the legend


def shown(one: Mapping[str, Any]) -> tuple[float, Any] | None:
    """Returns (value, its interval or None) on test, else on validation; None if there is neither."""
    if one.get("test") is not None:
        return one["test"], one["interval"]
    return (one["val"], None) if one.get("val") is not None else None


def columns_of(quality: Quality, document: Mapping[str, Any]) -> dict[str, Callable[[Mapping[str, Any]], str]]:
    """Returns the table's columns: header -> function that formats a form; with differences if any were measured."""
    rows = document["rows"]
    columns: dict[str, Callable[[Mapping[str, Any]], str]] = {heading(quality): lambda one: _value(one, quality)}
    if any(row[form].get("difference") for row in rows for form in FORMS):
        columns["difference"] = _difference
    return columns


def _value(one: Mapping[str, Any], quality: Quality) -> str:
    if "reason" in one:
        return "not exported"
    found = shown(one)
    if found is None:
        return "-"
    times, places = scale(quality), digits(quality)
    value, interval = found
    if interval is None:
        return f"{times * value:.{places}f}" + (" (val)" if one.get("test") is None else "")
    return f"{times * value:.{places}f} [{times * interval[0]:.{places}f}, {times * interval[1]:.{places}f}]"


def named(row: Mapping[str, Any]) -> str:
    return f"{row['step']} in {row['precision']}"


def _difference(one: Mapping[str, Any]) -> str:
    gap = one.get("difference")
    return f"{gap['mean']:+.1f} [{gap['low']:+.1f}, {gap['high']:+.1f}]" if gap else "-"
