"""`gesta benchmark` for a hand pose model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.text import Text

from gesta.cli.common import console, emit, existing


def benchmark_pose(
    bundle: str, data: Path | None, engine: str | None, layout: str | None, seconds: float, json: bool
) -> None:
    """Milliseconds of each part of an image's way, by engine on one core; with DATA reading and the cube, too."""
    from gesta.sources.hand_catalog import read
    from gesta.tasks.hands.benchmark import benchmark_pose as measure

    frames = read(existing(data, "data folder"), layout).frames if data is not None else ()
    document = measure(
        bundle,
        frames,
        engines=None if engine is None else [engine],
        seconds=seconds,
        say=lambda text: console.print(f"Measuring {escape(text)} ...", highlight=False),
    )
    document["data"] = None if data is None else str(data)
    emit(document, _text(document), json)


def _text(document: dict[str, Any]) -> Text:
    from gesta.engines.host import text

    model = document["model"]
    lines = [f"{model['name']}, {model['parameters']:,} parameters", text(document["machine"]), ""]
    lines.append(f"one core, milliseconds; {document['hands']['n']} hands ({document['hands']['source']})")
    columns = ("network p50", "p95", "read", "centre", "cube", "cube+network/s")
    lines.append(f"{'engine':<18}" + "".join(f"{name:>15}" for name in columns))
    for row in document["latency"]:
        name = f"{row['engine']} {row['precision']}".removesuffix(" -")
        if "skipped" in row:
            lines.append(f"{name:<18}  not measured: {row['skipped']}")
            continue
        way = row.get("way", {})
        cells = [f"{row['frame']['p50_ms']:.2f}", f"{row['frame']['p95_ms']:.2f}"]
        cells += [f"{way[part]:.2f}" if way else "-" for part in ("read_ms", "center_ms", "cube_ms")]
        cells.append(f"{way['frames_per_s']:.0f}" if way else "-")
        lines.append(f"{name:<18}" + "".join(f"{cell:>15}" for cell in cells))
    return Text("\n".join(lines))
