"""Text output of the commands for clip recognizers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gesta.tasks import events_text
from gesta.tasks import lines as text


def _train(document: Mapping[str, Any]) -> list[str]:
    if document["recipe"].get("continuous") is not None:
        return text.trained(document, [events_text.trained(document["metrics"]), text.same_classes(document["parity"])])
    measured = [*text.accuracy(document["metrics"]), *_baselines(document["metrics"].get("baselines"))]
    return text.trained(document, [*measured, text.same_classes(document["parity"])])


def _baselines(found: Mapping[str, Any] | None) -> list[str]:
    """Describes the compared candidates, and which of them is in the bundle."""
    if found is None:
        return []
    if not found["clips"]:
        return [
            "baselines not measured: no class has two clips, so none can be held out",
            f"delivered {found['delivered']} (--set baselines=false: the network, which may be better or worse)",
        ]
    told = {"clips", "where", "delivered"}
    shown = ", ".join(
        f"{name.replace('_', ' ')} {value:.1%}"
        for name, value in found.items()
        if name not in told and value is not None
    )
    return [
        f"baselines on {found['clips']} clips of {found['where']}: {shown}",
        f"delivered {found['delivered']}",
    ]


def _export(document: Mapping[str, Any]) -> list[str]:
    return text.exported(document, text.exported_classifier(document), "FILE")


def _benchmark(document: Mapping[str, Any]) -> list[str]:
    rows = document["latency"]
    frames = next((row["chunk"]["frames"] for row in rows if "chunk" in row), None)
    lines = [*text.benchmark_head(document), _preparing(document["preparing"]), _training(document["training"]), ""]
    if frames is not None:
        lines.append(f"latency on one core, milliseconds; a chunk is {frames} frames, a clip of usual length")
    lines += text.latency_table(document, text.times_of(chunk="chunk", clip="clip"), width=11)
    followed = [_followed(row) for row in rows if row.get("stream") is not None]
    return [*lines, "", *followed] if followed else lines


def _preparing(found: dict[str, Any]) -> str:
    if "skipped" in found:
        return f"preparing  not measured: {found['skipped']}"
    share, raw = found["share_of_decoding"], found["decoded_frames_per_s"]
    return (
        f"preparing  {found['preprocessed_frames_per_s']:.0f} frames/s, {share:.2f} of the raw decode's {raw:.0f} "
        f"({found['recordings']} recordings, {found['videos_each']} videos each)"
    )


def _training(found: dict[str, Any]) -> str:
    if "skipped" in found:
        return f"training   not measured: {found['skipped']}"
    share = found["waiting_share"]
    waiting = (
        "with random clips, so waiting for data is not measured" if share is None else f"waiting for data {share:.1%}"
    )
    return (
        f"training   {found['clips_per_s']:.1f} clips/s in batches of {found['batch']} on {found['device']}; {waiting}"
    )


def _followed(row: Mapping[str, Any]) -> str:
    """Describes how fast an engine processes a recorded stream."""
    found, name = row["stream"], f"{row['engine']} {row['precision']}"
    if "skipped" in found:
        return f"{name:<18}  stream not measured: {found['skipped']}"
    return (
        f"{name:<18}  {found['times_real_time']:.1f} times as fast as real time, from file to prediction on one "
        f"core ({found['frames']} frames, {found['recorded_s']:.1f} s)"
    )


LINES: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "train": _train,
    "evaluate": lambda document: events_text.evaluated(document) if "events" in document else text.classified(document),
    "export": _export,
    "benchmark": _benchmark,
}
