"""Command output for spotters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gesta.tasks import lines as text
from gesta.tasks.events_text import evaluated, trained


def _train(document: Mapping[str, Any]) -> list[str]:
    return text.trained(document, [trained(document["metrics"]), text.same_classes(document["parity"], "recordings")])


def _export(document: Mapping[str, Any]) -> list[str]:
    return text.exported(document, text.exported_classifier(document, "recordings"), "SKELETONS")


def _benchmark(document: Mapping[str, Any]) -> list[str]:
    table = text.latency_table(document, text.times_of(frame="frame", recording="recording"))
    return [*text.benchmark_head(document), "latency on one core, milliseconds, of a frame and of a recording", *table]


LINES: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "train": _train,
    "evaluate": evaluated,
    "export": _export,
    "benchmark": _benchmark,
}
