"""`gesta benchmark`: how fast a model is, on this machine, in one run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from gesta.cli.common import DeviceOption, EngineOption, FormatOption, JsonFlag, SeedOption, console, emit, existing
from gesta.schema import GestaError

if TYPE_CHECKING:
    from gesta.schema import Sample


def benchmark(
    context: typer.Context,
    bundle: Annotated[str, typer.Argument(help="Bundle (folder or zip), or demo.", show_default=False)],
    data: Annotated[Path | None, typer.Argument(help="Recordings to prepare and train on.", show_default=False)] = None,
    engine: EngineOption = None,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    seconds: Annotated[float, typer.Option("--seconds", help="Time for each latency.", min=0.1, max=600)] = 3.0,
    train: Annotated[bool, typer.Option("--train/--no-train", help="Measure training too, where torch is.")] = True,
    seed: SeedOption = 0,
    json: JsonFlag = False,
) -> None:
    """Prepared frames/s against raw decoding, latency by engine on one core, training clips/s; the machine described.

    Without DATA random clips of the model's shape are used and preparing is not measured. --device is for training.
    Of a hand pose model: milliseconds of reading an image, its cube and the network, by engine on one core.
    Of a model of stored features: milliseconds of an answer, with a new frame and from a video's features alone.
    """
    from gesta.cli.kinds import kind_of, refuse

    kind = kind_of(bundle)
    training = ("train",) if train else ()  # --no-train is true of every kind
    if kind == "pose":
        from gesta.tasks.hands.cli_benchmark import benchmark_pose

        refuse(context, kind, *training, "seed")
        benchmark_pose(bundle, data, engine, layout, seconds, json)
        return
    if kind == "sequence":
        from gesta.tasks.features.cli_benchmark import benchmark_sequence

        refuse(context, kind, *training, "device", "seed")
        benchmark_sequence(bundle, data, engine, layout, seconds, json)
        return
    from gesta.engines.host import peak_memory_mb
    from gesta.evaluation.benchmark import benchmark as measure
    from gesta.sources.catalog import read

    samples = read(existing(data, "data folder"), layout).samples if data is not None else ()
    if data is not None and not samples:
        raise GestaError(f"{data}: holds no samples to measure with. See `gesta data inspect {data}`.")

    def say(text: str) -> None:
        console.print(f"Measuring {escape(text)} ...", highlight=False)

    engines = None if engine is None else [engine]
    document = measure(bundle, samples, engines=engines, seconds=seconds, seed=seed, say=say)
    document["training"] = _training(bundle, samples, device, seed, say) if train else {"skipped": "--no-train"}
    document["peak_memory_mb"] = peak_memory_mb()
    document["data"] = None if data is None else str(data)
    emit(document, _text(document), json)


def _training(bundle: str, samples: tuple[Sample, ...], device: str, seed: int, say: Any) -> dict[str, Any]:
    """Clips a second of training, or why it cannot be measured."""
    missing = [name for name in ("torch", "lightning") if importlib.util.find_spec(name) is None]
    if missing:
        return {"skipped": f"{' and '.join(missing)} not installed; pip install 'gesta[train]'"}
    from gesta.experiments.train_benchmark import train_benchmark

    say("training")
    try:
        return train_benchmark(bundle, samples, device=device, seed=seed)
    except GestaError as error:
        return {"skipped": str(error)}


def _text(document: dict[str, Any]) -> Text:
    from gesta.engines.host import text

    model = document["model"]
    lines = [
        f"{model['name']}, {model['parameters']:,} parameters",
        text(document["machine"]),
        "",
        _preparing_text(document["preparing"]),
        _training_text(document["training"]),
        "",
        *_latency_lines(document["latency"]),
        *_stream_lines(document["latency"]),
    ]
    return Text("\n".join(lines))


def _preparing_text(found: dict[str, Any]) -> str:
    if "skipped" in found:
        return f"preparing  not measured: {found['skipped']}"
    share, raw = found["share_of_decoding"], found["decoded_frames_per_s"]
    return (
        f"preparing  {found['prepared_frames_per_s']:.0f} frames/s, {share:.2f} of the raw decode's {raw:.0f} "
        f"({found['recordings']} recordings, {found['videos_each']} videos each)"
    )


def _training_text(found: dict[str, Any]) -> str:
    if "skipped" in found:
        return f"training   not measured: {found['skipped']}"
    share = found["waiting_share"]
    waiting = "random clips, so waiting for data is not measured" if share is None else f"waiting for data {share:.1%}"
    return (
        f"training   {found['clips_per_s']:.1f} clips/s in batches of {found['batch']} on {found['device']}; {waiting}"
    )


def _latency_lines(rows: list[dict[str, Any]]) -> list[str]:
    frames = next((row["chunk"]["frames"] for row in rows if "chunk" in row), None)
    lines = [f"latency on one core, milliseconds; a chunk is {frames} frames, a clip of usual length"] if frames else []
    columns = ("chunk p50", "chunk p95", "clip p50", "clip p95", "ready s", "peak MB")
    lines.append(f"{'engine':<18}" + "".join(f"{name:>11}" for name in columns))
    for row in rows:
        name = f"{row['engine']} {row['precision']}".removesuffix(" -")
        if "skipped" in row:
            lines.append(f"{name:<18}  not measured: {row['skipped']}")
            continue
        times = [f"{row[part][key]:.2f}" for part in ("chunk", "clip") for key in ("p50_ms", "p95_ms")]
        peak = "-" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:.0f}"
        lines.append(f"{name:<18}" + "".join(f"{cell:>11}" for cell in (*times, f"{row['ready_s']:.2f}", peak)))
    return lines


def _stream_lines(rows: list[dict[str, Any]]) -> list[str]:
    """How fast a recording is followed, a line an engine."""
    lines = []
    for row in rows:
        found, name = row.get("stream"), f"{row['engine']} {row['precision']}"
        if found is None:
            continue
        if "skipped" in found:
            lines.append(f"{name:<18}  not followed: {found['skipped']}")
            continue
        lines.append(
            f"{name:<18}  {found['times_real_time']:.1f} times as fast as real time, from file to prediction on one "
            f"core ({found['frames']} frames, {found['recorded_s']:.1f} s)"
        )
    return ["", *lines] if lines else []
