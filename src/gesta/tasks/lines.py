"""Text output shared by the commands of several tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gesta.engines import host
from gesta.untrusted import printable
from gesta.words import command, counted

SHOWN_SKIPPED = 10


def trained(document: Mapping[str, Any], measured: Iterable[str]) -> list[str]:
    """Summarizes a training; `measured`: the metrics, and how the exported network compares."""
    metrics = document["metrics"]
    best = f", best epoch {metrics['best_epoch']}" if metrics["best_epoch"] else ""
    options = ["--protocol", "document"] if document.get("protocol") == "document" else []
    return [
        f"trained   {metrics['epochs']} epochs in {document['seconds']:.0f} s{best}",
        *measured,
        *skipped(document["skipped"]),
        f"bundle    {document['bundle']}",
        f"next      {command('gesta', 'evaluate', document['bundle'], document['data'], *options)}",
    ]


def skipped(problems: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lists the first of the skipped samples."""
    lines = [
        f"skipped   {printable(problem['path'])}: {printable(problem['reason'])}"
        for problem in problems[:SHOWN_SKIPPED]
    ]
    if len(problems) > SHOWN_SKIPPED:
        lines.append(f"          ... {len(problems)} in total; --json lists them")
    return lines


def accuracy(metrics: Mapping[str, Any], unit: str = "clips") -> list[str]:
    """Summarizes a classifier's metrics from training."""
    if "val_accuracy" not in metrics:
        return [f"accuracy  not measured: there is no validation {unit.removesuffix('s')}; the last epoch is kept"]
    return [f"accuracy  {metrics['val_accuracy']:.3f} on {metrics['val_clips']} validation {unit}"]


def same_classes(parity: Mapping[str, Any], unit: str = "clips") -> str:
    """Summarizes how an exported classifier compares with PyTorch."""
    return (
        f"OpenVINO  same top class as PyTorch on {parity['top_class_agreement']:.0%} of {parity['clips']} {unit}, "
        f"largest difference {parity['largest_difference']:.1g}"
    )


def classified(document: Mapping[str, Any], unit: str = "clips") -> list[str]:
    """Summarizes the evaluation of a classifier."""
    low, high = document["accuracy_interval"]
    worst = sorted((s["recall"], label, s["n"]) for label, s in document["per_class"].items() if s["n"])[:5]
    count = document["people"]
    people = f" of {counted(count, 'person', 'people')}" if count else ""
    lines = [f"accuracy  {document['accuracy']:.3f}  (95 % interval {low:.3f} to {high:.3f})"]
    if len(document["labels"]) > 5:
        lines.append(f"top 5     {document['top5']:.3f}")
    lines.append(f"{unit:<9} {document['n']}{people}, {len(document['skipped'])} skipped; engine {document['engine']}")
    lines.append("weakest   " + ", ".join(f"{label} {round(recall * n)} of {n}" for recall, label, n in worst))
    return lines


def exported(document: Mapping[str, Any], measured: Iterable[str], given: str) -> list[str]:
    """Summarizes an export."""
    bundle = document["bundle"]
    lines = [*measured, f"weights  {document['bytes_torch']:,} bytes in the trained bundle", f"bundle   {bundle}"]
    return [*lines, f"next     {command('gesta', 'predict', bundle, given)}"]


def exported_classifier(document: Mapping[str, Any], unit: str = "clips") -> list[str]:
    """Describes each network of an exported classifier: its size, parity, accuracy and latency."""
    lines = []
    for artifact in document["artifacts"]:
        parity, measured = artifact["parity"], artifact["measured"]
        name = artifact["role"] if artifact["stage"] == "network" else artifact["stage"]
        lines.append(
            f"{name:<8} {artifact['file']}, {measured['bytes']:,} bytes: same top class as PyTorch on "
            f"{parity['top_class_agreement']:.1%} of {parity['clips']} {measured['clips']} {unit}, "
            f"largest difference {parity['largest_difference']:.2g}"
        )
        if measured["accuracy"] is not None:
            lines.append(f"         accuracy {measured['accuracy']:.3f}, PyTorch {measured['accuracy_torch']:.3f}")
        lines += faster("chunk" if artifact["role"] == "step" else unit.removesuffix("s"), measured)
    return lines


def faster(what: str, measured: Mapping[str, Any]) -> list[str]:
    """Compares the latency with PyTorch's, if it was measured."""
    ours, theirs = measured["latency_ms"], measured["latency_torch_ms"]
    if ours is None or theirs is None:
        return []
    return [
        f"         a {what} on one core {ours[0]:.2f} ms (p95 {ours[1]:.2f}), PyTorch {theirs[0]:.2f} "
        f"(p95 {theirs[1]:.2f}): {theirs[0] / ours[0]:.1f} times as fast"
    ]


def benchmark_head(document: Mapping[str, Any]) -> list[str]:
    """Describes the model and the machine."""
    model, machine = document["model"], document["machine"]
    return [f"{model['name']}, {model['parameters']:,} parameters", host.text(machine), ""]


def latency_table(
    document: Mapping[str, Any], columns: Mapping[str, Callable[[Mapping[str, Any]], str]], width: int = 15
) -> list[str]:
    """Formats one line per engine and precision: `columns` (heading -> cell of a row), then ready s and peak MB."""
    cells = {
        **columns,
        "ready s": lambda row: f"{row['ready_s']:.2f}",
        "peak MB": lambda row: "-" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:.0f}",
    }
    lines = [f"{'engine':<18}" + "".join(f"{name:>{width}}" for name in cells)]
    for row in document["latency"]:
        name = f"{row['engine']} {row['precision']}".removesuffix(" -")
        if "skipped" in row:
            lines.append(f"{name:<18}  not measured: {row['skipped']}")
        else:
            lines.append(f"{name:<18}" + "".join(f"{cell(row):>{width}}" for cell in cells.values()))
    return lines


def times_of(**parts: str) -> dict[str, Callable[[Mapping[str, Any]], str]]:
    """Returns columns p50 and p95 of timings: key of the row -> heading."""
    return {
        f"{heading} {shown}": lambda row, part=part, key=key: f"{row[part][key]:.2f}"  # type: ignore[misc]
        for part, heading in parts.items()
        for shown, key in (("p50", "p50_ms"), ("p95", "p95_ms"))
    }
