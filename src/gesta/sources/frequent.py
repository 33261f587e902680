"""The most frequent classes of a vocabulary with a long tail: the n most frequent with at least k videos each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from gesta.schema import GestaError, Listing, Sample


def most_frequent(listing: Listing, classes: int | None, at_least: int = 1) -> Listing:
    """Returns the listing with only the `classes` most frequent labels (None: all) that have `at_least` samples.

    Ties are broken by name. Raises GestaError if too few labels are frequent enough.
    """
    counts = Counter(sample.label for sample in listing.samples if sample.label is not None)
    ranked = sorted((label for label in counts if counts[label] >= at_least), key=lambda label: (-counts[label], label))
    if not ranked or (classes is not None and len(ranked) < classes):
        asked = "any class" if classes is None else f"{classes} classes"
        raise GestaError(
            f"{listing.root}: asked for {asked} with at least {at_least} videos, but only {len(ranked)} of "
            f"{len(counts)} have that many. Ask for fewer."
        )
    kept = set(ranked[:classes])
    chosen: Sequence[Sample] = [sample for sample in listing.samples if sample.label in kept]
    return replace(listing, samples=tuple(chosen))
