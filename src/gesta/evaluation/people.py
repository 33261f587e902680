"""Checks whether the people or clips that a model is evaluated on were in its training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gesta.bundle.manifest import Provenance
from gesta.bundle.people import fingerprint

SHOWN = 8


def people_warnings(samples: Sequence[Any], origin: Provenance, layout: str) -> list[str]:
    """Warnings that the model was trained on the same people, or that people are unknown, so it cannot be checked."""
    trained = set(origin.people)
    people = sorted({s.subject for s in samples if s.subject is not None})
    if not trained or not people:
        side = "The data do" if trained else "The bundle does"
        return [f"{side} not say who the people are, so the model may have been trained on the same people."]
    seen = [person for person in people if fingerprint(person, layout) in trained]
    if not seen:
        return []
    few = ", ".join(seen[:SHOWN]) + (", ..." if len(seen) > SHOWN else "")
    return [
        f"{len(seen)} of {len(people)} people were used in training ({few}): the accuracy is too optimistic for new "
        "people."
    ]
