"""Command output for classifiers of stored features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gesta.tasks import lines as text


def _train(document: Mapping[str, Any]) -> list[str]:
    metrics = document["metrics"]
    lines = []
    for part, name in (("val", "validation"), ("test", "test")):
        if f"{part}_accuracy" in metrics:
            accuracy, loss, clips = (metrics[f"{part}_{what}"] for what in ("accuracy", "loss", "clips"))
            lines.append(f"accuracy  {accuracy:.3f}, loss {loss:.3f} on {clips} {name} clips")
        else:
            kept = "; the last epoch is kept" if part == "val" else ""
            lines.append(f"accuracy  not measured: there is no {name} clip{kept}")
    shown = {**document, "data": "VIDEOS"}
    return text.trained(shown, [*lines, text.same_classes(document["parity"])])


def _export(document: Mapping[str, Any]) -> list[str]:
    return text.exported(document, text.exported_classifier(document), "VIDEO")


def _benchmark(document: Mapping[str, Any]) -> list[str]:
    model, inputs = document["model"], document["inputs"]
    unit, features = "frame" if model["window"] == 1 else "window", sorted(inputs["features"])
    lines = [
        *text.benchmark_head(document),
        f"after the backbone {model['backbone']}; one core, milliseconds; {len(features)} videos of {features[0]} to "
        f"{features[-1]} features ({inputs['source']}); from all features of a video, and with one new {unit} "
        "through the backbone",
    ]
    return lines + text.latency_table(document, text.times_of(feature=f"new {unit}", head="features"))


LINES: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "train": _train,
    "evaluate": text.classified,
    "export": _export,
    "benchmark": _benchmark,
}
