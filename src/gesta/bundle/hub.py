"""The model card for model hubs: a YAML header with the measured results, then the bundle's own card.

The header's fields are those of Hugging Face's model cards: https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from gesta.bundle import card
from gesta.bundle.manifest import Manifest
from gesta.untrusted import printable
from gesta.words import DISTRIBUTION

SPLITS = {"test": "test part", "val": "validation part", "all": "all recordings"}
COUNTS = ("n", "people", "clips", "frames")
"""Metrics of an evaluation that are counts: shown after the measured values."""


@dataclass(frozen=True)
class Publication:
    """Facts that a bundle does not contain. `license` and `languages`: the hub's identifiers ("apache-2.0", "en")."""

    license: str | None = None
    languages: tuple[str, ...] = ()
    dataset: str | None = None


def render(manifest: Manifest, header: Mapping[str, Any]) -> str:
    """Returns the header followed by the card."""
    text = yaml.safe_dump(dict(header), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---\n\n{card.render(manifest)}"


def header(
    manifest: Manifest, title: str, measures: Sequence[str], publication: Publication = Publication()
) -> dict[str, Any]:
    """Returns the header as plain values, without unknown ones.

    `title`: of the task; `measures`: its metrics that are results, in this order.
    """
    results = list(_results(manifest, title, measures, publication.dataset))
    fields: dict[str, Any] = {
        "license": publication.license,
        "language": list(publication.languages),
        "library_name": DISTRIBUTION,
        "pipeline_tag": manifest.pipeline_tag,
        "tags": ["gesta", manifest.kind, *dict.fromkeys(one.engine for one in manifest.networks)],
        "metrics": list(dict.fromkeys(metric["type"] for result in results for metric in result["metrics"])),
        "model-index": [{"name": printable(manifest.name), "results": results}] if results else [],
    }
    return {name: value for name, value in fields.items() if value}


def _results(manifest: Manifest, title: str, measures: Sequence[str], dataset: str | None) -> Any:
    """Returns one entry for each split with measurements."""
    for split, part in SPLITS.items():
        measured = [entry for name in measures if (entry := _metric(manifest.metrics, split, name)) is not None]
        if measured:
            task = {"type": manifest.pipeline_tag or "other", "name": title}
            layout = manifest.provenance.layout
            data = {"type": layout, "name": f"{dataset or layout}, {part}", "split": split}
            yield {"task": task, "dataset": data, "metrics": measured}


def _metric(metrics: Mapping[str, Any], split: str, name: str) -> dict[str, Any] | None:
    """Returns a measured value with its interval and counts, or None if it is not a number."""
    value = metrics.get(f"{split}_{name}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    counted = [f"{count} = {metrics[f'{split}_{count}']}" for count in COUNTS if f"{split}_{count}" in metrics]
    interval = metrics.get(f"{split}_{name}_interval")
    facts = [*([f"95 % interval {interval[0]:.3f} to {interval[1]:.3f}"] if interval else []), *counted]
    words = name.replace("_", " ")
    return {"type": name, "value": round(value, 4), "name": f"{words} ({', '.join(facts)})" if facts else words}


def measures(measured: str, trained: str, kept: Sequence[str]) -> list[str]:
    """Returns the names of a task's metrics that are results: its quality as named by `gesta evaluate` and by training,
    and the others kept in a bundle, except counts and intervals, which belong to them."""
    names = dict.fromkeys((measured, trained.removeprefix("val_"), *kept))
    return [name for name in names if name not in COUNTS and not name.endswith("_interval")]
