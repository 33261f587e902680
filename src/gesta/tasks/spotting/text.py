"""What the commands say of spotters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gesta.decoding import GestureEvent
from gesta.tasks import lines as text


def event_line(event: GestureEvent) -> str:
    """One event for people."""
    return (
        f"{event.start_s:9.2f} - {event.end_s:.2f} s  {event.label}  {event.confidence:.2f}  "
        f"(known at {event.decided_s:.2f} s)"
    )


def event_document(event: GestureEvent) -> dict[str, Any]:
    """One event for machines."""
    numbers = {name: round(getattr(event, name), 3) for name in ("start_s", "end_s", "confidence", "decided_s")}
    return {"label": event.label, **numbers}


def _train(document: Mapping[str, Any]) -> list[str]:
    metrics = document["metrics"]
    if "val_jaccard" in metrics:
        measured = [
            f"events    Jaccard {metrics['val_jaccard']:.3f}, {metrics['val_detection_rate']:.1%} detected, edit error "
            f"{metrics['val_edit_error']:.3f} on {metrics['val_recordings']} validation recordings, on which the "
            "decoder was chosen"
        ]
    else:
        measured = ["events    not measured: no validation recording has one; the decoder has its default numbers"]
    return text.trained(document, [*measured, text.same_classes(document["parity"], "recordings")])


def _evaluate(document: Mapping[str, Any]) -> list[str]:
    f1 = ", ".join(f"{document[f'f1_{overlap}']:.3f}" for overlap in (10, 25, 50))
    lines = [
        f"Jaccard   {document['jaccard']:.3f} (frames of events), frame accuracy {document['frame_accuracy']:.3f}",
        f"F1        {f1} at overlaps of 10, 25, 50 %",
        f"detected  {document['detection_rate']:.1%} of {document['events']} gestures in {document['minutes']:.1f} "
        f"minutes, {document['false_alarms_per_minute']:.2f} false alarms a minute",
    ]
    if document["edit_error"] is not None:
        lines.append(f"edit      {document['edit_error']:.3f} of the sequence of gestures")
    if document["delay_p50_s"] is not None:
        late = document["delay_p50_s"], document["delay_p95_s"]
        lines.append(f"delay     {late[0]:.2f} s from a gesture's end until it is known (p95 {late[1]:.2f})")
    skipped, engine = len(document["skipped"]), document["engine"]
    return [*lines, f"{document['n']} recordings, {skipped} skipped; engine {engine}"]


def _export(document: Mapping[str, Any]) -> list[str]:
    return text.exported(document, text.exported_classifier(document, "recordings"), "SKELETONS")


def _benchmark(document: Mapping[str, Any]) -> list[str]:
    table = text.latency_table(document, text.times_of(frame="frame", recording="recording"))
    return [*text.benchmark_head(document), "latency on one core, milliseconds, of a frame and of a recording", *table]


LINES: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "train": _train,
    "evaluate": _evaluate,
    "export": _export,
    "benchmark": _benchmark,
}
