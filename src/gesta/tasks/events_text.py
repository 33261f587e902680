"""Detected events as text, for spotters and continuous clip recognizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gesta.decoder import GestureEvent


def event_document(event: GestureEvent) -> dict[str, Any]:
    """Returns one event as a JSON document."""
    numbers = {name: round(getattr(event, name), 3) for name in ("start_s", "end_s", "confidence", "decided_s")}
    return {"label": event.label, **numbers}


def evaluated(document: Mapping[str, Any]) -> list[str]:
    """Summarizes an evaluation of events."""
    f1 = ", ".join(f"{document[f'f1_{overlap}']:.3f}" for overlap in (10, 25, 50))
    lines = [
        f"Jaccard   {document['jaccard']:.3f} (frames of events), frame accuracy {document['frame_accuracy']:.3f}",
        f"F1        {f1} at overlaps of 10, 25, 50 %",
        f"detected  {document['detection_rate']:.1%} of {document['events']} gestures in {document['minutes']:.1f} "
        f"minutes, {document['false_alarms_per_minute']:.2f} false alarms per minute",
    ]
    if document["edit_error"] is not None:
        lines.append(f"edit      error {document['edit_error']:.3f} over the sequence of gestures")
    if document["delay_p50_s"] is not None:
        late = document["delay_p50_s"], document["delay_p95_s"]
        lines.append(f"delay     {late[0]:.2f} s from the end of a gesture to its detection (p95 {late[1]:.2f})")
    skipped, engine = len(document["skipped"]), document["engine"]
    return [*lines, f"{document['n']} recordings, {skipped} skipped; engine {engine}"]


def trained(metrics: Mapping[str, Any]) -> str:
    """Summarizes the events detected in the validation part during training."""
    if "val_detection_rate" not in metrics:
        return "events    not measured: no validation recording has one; the decoder keeps its defaults"
    more = [f"Jaccard {metrics['val_jaccard']:.3f}"]
    if "val_false_alarms_per_minute" in metrics:
        more += [f"{metrics['val_false_alarms_per_minute']:.2f} false alarms per minute"]
    if "val_edit_error" in metrics:
        more += [f"edit error {metrics['val_edit_error']:.3f}"]
    return (
        f"events    {metrics['val_detection_rate']:.1%} detected, {', '.join(more)} on validation recordings, on which "
        "the decoder was tuned"
    )
