"""Writes detected events to metrics.json, events.csv, and report.html with a timeline of every recording."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gesta.files import csv_text, json_text, write_files
from gesta.look import head, links, sorting, titled
from gesta.metrics_events import Event, match
from gesta.tasks.base import Evaluation
from gesta.tasks.events import Seen

SHOWN = 100
"""Maximum number of timelines on the page, the worst recordings first; events.csv has all."""
HEADINGS: tuple[tuple[str, dict[str, str], int], ...] = (
    ("Missed gestures and false alarms", {"missed": "missed", "false": "false alarm"}, 12),
    ("Detected gestures", {"found": "detected"}, 4),
)
"""Sections with pictures: heading, verdicts and their display names, maximum number."""
STRIPS = (
    "Time runs from left to right. Below each video is the input of the network, if it consists of images. "
    "Generated rests between joined clips have no video."
)
"""Note above the pictures."""
Strips = Callable[[str, float, float], list[tuple[str, str]]]
"""(Recording id, start, end in seconds) -> pictures (caption, data URI)."""
MEASURES = {
    "jaccard": ("Jaccard index: overlap of true and detected frames (ChaLearn)", "%"),
    "frame_accuracy": ("frame accuracy, before frames are joined to events", "%"),
    "detection_rate": ("detection rate", "%"),
    "false_alarms_per_minute": ("false alarms per minute", ""),
    "edit_error": ("edit error: share of gestures missed, added or confused", "%"),
    "delay_p50_s": ("delay from the end of a gesture to its detection, median", "s"),
    "delay_p95_s": ("delay from the end of a gesture to its detection, 95th percentile", "s"),
    "f1_10": ("F1 of events that overlap by 10 %", "%"),
    "f1_25": ("F1 of events that overlap by 25 %", "%"),
    "f1_50": ("F1 of events that overlap by 50 %", "%"),
    "shrec_detection_rate": ("detection rate, mean over classes (SHREC 2022)", "%"),
    "shrec_false_positive_rate": ("false positive rate, mean over classes (SHREC 2022)", ""),
    "shrec_jaccard_index": ("Jaccard index, mean over classes (SHREC 2022)", "%"),
    "shuffled_detection_rate": ("detection rate with shuffled frames (control)", "%"),
    "events": ("gestures", ""),
    "minutes": ("minutes", ""),
    "n": ("recordings", ""),
}
"""Description and unit of each metric on the page."""
WIDTH, ROW, GAP = 900, 16, 4
COLORS = (
    *("#3d6cb9", "#d1793b", "#4f9d69", "#b04a5a", "#7d63b0", "#8a6d4b", "#c06fa6"),
    *("#6b7785", "#a3a043", "#3f9fae", "#5a8f2f", "#9c5fc9", "#c9962e", "#587fd6"),
)


def report(result: Evaluation, out: Path) -> None:
    """Writes the three files. Raises GestaError."""
    recordings: Sequence[Seen] = result.facts["seen"]
    strips = stretches(recordings, result.facts["strips"]) if "strips" in result.facts else ""
    contents = {
        "metrics.json": json_text(result.metrics),
        "events.csv": events_csv(recordings),
        "report.html": page(title_of(result), result.metrics, recordings, strips),
    }
    write_files(out, contents)


def title_of(result: Evaluation) -> str:
    """Returns the name of the data if known, otherwise of the model."""
    return Path(result.facts.get("data", result.manifest.name)).name


def events_csv(recordings: Sequence[Seen]) -> str:
    """Returns one row per event, true or spotted: `verdict` is found or missed, right, false or partial."""
    rows = [["recording", "side", "label", "start_s", "end_s", "decided_s", "verdict"]]
    for one in recordings:
        for side, event, verdict in verdicts(one):
            times = ["" if time_s is None else f"{time_s:.3f}" for time_s in (event.start, event.end, event.decided)]
            rows.append([one.id, side, str(event.label), *times, verdict])
    return csv_text(rows)


def verdicts(one: Seen) -> Iterator[tuple[str, Event, str]]:
    """Yields (side, event, verdict) for a recording, by the matching rule of SHREC 2022."""
    found = match(one.truth, one.spotted)
    hits, right = ({pair[side] for pair in found.right} for side in (0, 1))
    for index, event in enumerate(one.truth):
        yield "true", event, "found" if index in hits else "missed"
    for index, event in enumerate(one.spotted):
        yield "spotted", event, "right" if index in right else "false" if index in found.false else "partial"


def stretches(recordings: Sequence[Seen], strips: Strips) -> str:
    """Returns film strips as HTML: missed gestures and false alarms, the longest first, then detected gestures."""
    judged = sorted(
        ((event.end - event.start, one, event, verdict) for one in recordings for _, event, verdict in verdicts(one)),
        key=lambda row: -row[0],
    )
    parts = []
    for heading, verdict_of, count in HEADINGS:
        shown = [row for row in judged if row[3] in verdict_of][:count]
        drawn = "".join(_stretch(one, event, verdict_of[verdict], strips) for _, one, event, verdict in shown)
        parts.append(f"<h2>{heading}</h2><p>{STRIPS}</p>{drawn}" if drawn else "")
    return "".join(parts)


def _stretch(one: Seen, event: Event, what: str, strips: Strips) -> str:
    found = strips(one.id, event.start, event.end)
    pictures = "".join(
        f'<div class=strip><span>{html.escape(name)}</span><img src="{uri}" alt="{html.escape(name)}"></div>'
        for name, uri in found
    )
    if not pictures:
        return ""
    others = [e for e in (*one.truth, *one.spotted) if min(e.end, event.end) > max(e.start, event.start)]
    overlapping = ", ".join(sorted({str(e.label) for e in others} - {str(event.label)}))
    told = f"{what}: {event.label}, {event.start:.1f} to {event.end:.1f} s of {one.id}"
    told += f"; overlaps with {overlapping}" if overlapping else ""
    return f"<h3>{html.escape(told)}</h3>{pictures}"


def page(title: str, metrics: Mapping[str, Any], recordings: Sequence[Seen], strips: str = "") -> str:
    """Returns the HTML page. `title`: what was evaluated; `strips`: HTML of the film strips."""
    names = sorted({str(e.label) for one in recordings for e in (*one.truth, *one.spotted)})
    colors = {name: COLORS[index % len(COLORS)] for index, name in enumerate(names)}
    worst = sorted(recordings, key=lambda one: one.jaccard)[:SHOWN]
    key = "".join(
        f'<span style="color:{color}">&#9632; <b>{html.escape(name)}</b></span>' for name, color in colors.items()
    )
    numbers = [(MEASURES[name][0], _number(metrics[name], unit)) for name, unit in _shown(metrics)]
    notes = [("note", str(note)) for note in (*metrics.get("notes", ()), *metrics.get("warnings", ()))]
    classes = [
        (label, str(row["true"]), str(row["right"]), str(row["false"])) for label, row in metrics["per_class"].items()
    ]
    gestures = _table([("gesture", "in the data", "detected", "false alarms"), *classes], sorts=True)
    return (
        f"<!doctype html><html lang=en>{head(titled(title))}<body><h1>{html.escape(titled(title))}</h1>"
        f"<p>Bundle: {html.escape(str(metrics.get('bundle', 'not stored')))}<br>"
        f"Files: {links('events.csv', 'metrics.json')}</p><div class=scroll>{_table([*numbers, *notes])}</div>"
        f"<h2>Gestures</h2><div class=scroll>{gestures}</div>"
        f"<h2>{len(worst)} of {len(recordings)} recordings, worst first</h2>"
        f"<p>Top: ground truth. Bottom: detected events; a dot marks when each was detected.</p><p class=key>{key}</p>"
        f"{''.join(timeline(one, colors) for one in worst)}{strips}{sorting()}</body></html>\n"
    )


def timeline(one: Seen, colors: Mapping[str, str]) -> str:
    """Draws two rows of bars over the recording's time, as SVG with a heading."""
    seconds = max(one.frames / one.fps, 1e-6)
    bars = [_bar(event, seconds, row, colors) for row, side in enumerate((one.truth, one.spotted)) for event in side]
    dots = [
        f'<circle cx="{_x(e.decided, seconds)}" cy="{2 * ROW + GAP + 5}" r="2.5" fill="{colors[str(e.label)]}"/>'
        for e in one.spotted
        if e.decided is not None
    ]
    height = 2 * ROW + GAP + 10
    back = "".join(f'<rect y="{row * (ROW + GAP)}" width="{WIDTH}" height="{ROW}" class="lane"/>' for row in (0, 1))
    told = f'role="img" aria-label="Timeline of {html.escape(one.id)}"'
    return (
        f"<h3>{html.escape(one.id)} &middot; {seconds:.1f} s, Jaccard {one.jaccard:.2f}</h3>"
        f'<svg class="timeline" viewBox="0 0 {WIDTH} {height}" {told}>'
        f"{back}{''.join(bars)}{''.join(dots)}</svg>"
    )


def _bar(event: Event, seconds: float, row: int, colors: Mapping[str, str]) -> str:
    label = html.escape(f"{event.label} {event.start:.2f} - {event.end:.2f} s")
    left, right = _x(event.start, seconds), _x(event.end, seconds)
    return (
        f'<rect x="{left}" y="{row * (ROW + GAP)}" width="{max(right - left, 1)}" height="{ROW}" '
        f'fill="{colors[str(event.label)]}"><title>{label}</title></rect>'
    )


def _x(time_s: float, seconds: float) -> float:
    return round(WIDTH * min(max(time_s / seconds, 0), 1), 1)


def _shown(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns (name, unit) of the metrics that the page shows."""
    return [(name, unit) for name, (_, unit) in MEASURES.items() if isinstance(metrics.get(name), int | float)]


def _number(value: float, unit: str) -> str:
    if unit == "%":
        return f"{100 * value:.1f} %"
    return str(value) if isinstance(value, int) else f"{value:.3g} {unit}".rstrip()


def _table(rows: Sequence[Sequence[str]], sorts: bool = False) -> str:
    """Renders rows as an HTML table. `sorts`: the first row is a heading, and the table is sortable."""
    lines = ["".join(f"<td>{html.escape(cell)}" for cell in row) for row in rows]
    if sorts:
        lines[0] = "".join(f"<th>{html.escape(cell)}" for cell in rows[0])
    return f"<table{' class=sorts' if sorts else ''}>" + "".join(f"<tr>{line}" for line in lines) + "</table>"
