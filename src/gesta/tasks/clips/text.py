"""What the commands say of recognizers of clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gesta.tasks import lines as text


def _train(document: Mapping[str, Any]) -> list[str]:
    return text.trained(document, [*text.accuracy(document["metrics"]), text.same_classes(document["parity"])])


def _export(document: Mapping[str, Any]) -> list[str]:
    return text.exported(document, text.exported_classifier(document), "VIDEO")


LINES: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "train": _train,
    "evaluate": text.classified,
    "export": _export,
}
