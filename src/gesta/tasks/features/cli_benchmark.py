"""`gesta benchmark` for a backbone and a classifier of its features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.text import Text

from gesta.cli.common import console, emit, existing
from gesta.schema import GestaError


def benchmark_sequence(
    bundle: str, data: Path | None, engine: str | None, layout: str | None, seconds: float, json: bool
) -> None:
    """Milliseconds of an answer, from a new frame and from features alone, by engine on one core."""
    from gesta.sources.catalog import read
    from gesta.tasks.features.benchmark import benchmark_sequence as measure

    samples = read(existing(data, "data folder"), layout).samples if data is not None else ()
    if data is not None and not samples:
        raise GestaError(f"{data}: holds no samples to measure with. See `gesta data inspect {data}`.")
    document = measure(
        bundle,
        samples,
        engines=None if engine is None else [engine],
        seconds=seconds,
        say=lambda text: console.print(f"Measuring {escape(text)} ...", highlight=False),
    )
    document["data"] = None if data is None else str(data)
    emit(document, _text(document), json)


def _text(document: dict[str, Any]) -> Text:
    from gesta.engines.host import text

    model, videos = document["model"], document["videos"]
    unit = "frame" if model["window"] == 1 else "window"
    features = sorted(videos["features"])
    lines = [
        f"{model['name']}, {model['parameters']:,} parameters behind the backbone {model['backbone']}",
        text(document["machine"]),
        "",
        f"one core, milliseconds; {len(features)} videos of {features[0]} to {features[-1]} features "
        f"({videos['source']}); the answer from all features of a video, and with a new {unit} through the backbone",
    ]
    columns = (f"new {unit} p50", "p95", "features p50", "p95", "ready s", "peak MB")
    lines.append(f"{'engine':<18}" + "".join(f"{name:>15}" for name in columns))
    for row in document["latency"]:
        name = f"{row['engine']} {row['precision']}".removesuffix(" -")
        if "skipped" in row:
            lines.append(f"{name:<18}  not measured: {row['skipped']}")
            continue
        cells = [f"{row[part][key]:.2f}" for part in ("feature", "head") for key in ("p50_ms", "p95_ms")]
        peak = "-" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:.0f}"
        lines.append(f"{name:<18}" + "".join(f"{cell:>15}" for cell in (*cells, f"{row['ready_s']:.2f}", peak)))
    return Text("\n".join(lines))
