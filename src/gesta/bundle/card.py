"""The model card: Markdown from the manifest alone, so that it contains only what was recorded or measured."""

from __future__ import annotations

import re
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from gesta.bundle.manifest import Artifact, Manifest
from gesta.untrusted import printable


def render(manifest: Manifest) -> str:
    """Returns the card of a bundle, without anything that was not measured."""
    manifest = _escaped(manifest)
    in_mm = any(artifact.pose is not None for artifact in manifest.artifacts)
    files = _files_in_mm(manifest) if in_mm else _files(manifest)
    parts = [_head(manifest), _measured(manifest), _input(manifest), _origin(manifest), files]
    return "\n\n".join(part for part in parts if part) + "\n"


T = TypeVar("T")


def _escaped(value: T) -> T:
    """Escapes all text for Markdown: control characters, links, tags and tables in it have no effect."""
    found: Any = value
    if isinstance(value, str):
        found = re.sub(r"([\\`*<|\[\]])", r"\\\1", printable(value))
    elif isinstance(value, BaseModel):
        found = value.model_copy(update={name: _escaped(getattr(value, name)) for name in type(value).model_fields})
    elif isinstance(value, (tuple, list)):
        found = type(value)(map(_escaped, value))
    elif isinstance(value, dict):
        found = {_escaped(name): _escaped(item) for name, item in value.items()}
    return cast(T, found)


def _head(manifest: Manifest) -> str:
    recipe = str(manifest.recipe.get("name", "unknown recipe"))
    return (
        f"# {manifest.name}\n\n{manifest.summary}\n\n"
        f"Network: {manifest.network}, {manifest.parameters:,} parameters, recipe {recipe}."
    )


def _input(manifest: Manifest) -> str:
    return "\n".join(["## Input", "", *(f"- {line}" for line in (*manifest.input_lines, *manifest.notes))])


def _measured(manifest: Manifest) -> str:
    metrics = manifest.metrics
    if not metrics:
        return "## Measured\n\nNot yet measured; to measure: `gesta evaluate BUNDLE DATA`."
    lines = ["## Measured", ""]
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            lines += _interval(name, value)
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            lines.append(f"- {name.replace('_', ' ')}: {shown}")
    return "\n".join(lines)


def _interval(name: str, value: object) -> list[str]:
    """Shows a pair of numbers; long tables (per class, confusion) are left in the manifest."""
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value):
        return [f"- {name.replace('_', ' ')}: {value[0]:.4g} to {value[1]:.4g}"]
    return []


def _origin(manifest: Manifest) -> str:
    origin = manifest.provenance
    clips = ", ".join(f"{count} {split}" for split, count in origin.clips.items()) or "not recorded"
    lines = [
        "## Provenance",
        "",
        f"- trained {origin.created} by gesta {origin.gesta}, seed {origin.seed}, {origin.seconds:.0f} s",
        f"- data: layout {origin.layout}, {manifest.unit}: {clips}, fingerprint {origin.data_fingerprint[:16]}",
        f"- people in the training data: {len(origin.people) or 'not recorded'}",
    ]
    if origin.machine:
        lines.append(f"- machine: {origin.machine}")
    if origin.skipped:
        lines.append(f"- recordings skipped because they could not be read: {origin.skipped}")
    return "\n".join(lines + [f"- {note}" for note in origin.split_notes])


def _files(manifest: Manifest) -> str:
    if not manifest.artifacts:
        return ""
    lines = ["## Files", "", "| file | role | engine | precision | largest difference | top class agrees |"]
    lines.append("|---|---|---|---|---|---|")
    lines += [_row(artifact) for artifact in manifest.artifacts]
    return "\n".join(lines) + _exported(manifest)


def _files_in_mm(manifest: Manifest) -> str:
    if not manifest.artifacts:
        return ""
    lines = ["## Files", "", "| file | role | engine | precision | largest difference, mm | error, mm | p50 ms |"]
    lines.append("|---|---|---|---|---|---|---|")
    for one in manifest.artifacts:
        found = one.pose
        if found is not None and one.stage == "center":  # the hand detector: its center, in the 99th percentile
            apart = "-" if found.center_difference_mm is None else f"{found.center_difference_mm:.2g}"
            lines.append(f"| {one.file} | {one.role} | {one.engine} | {one.precision} | {apart} | - | - |")
            continue
        difference = "-" if found is None else f"{found.largest_difference_mm:.2g}"
        error = "-" if found is None or found.error_mm is None else f"{found.error_mm:.2f} ({found.error_mm_torch:.2f})"
        time = "-" if found is None or found.latency_ms is None else f"{found.latency_ms[0]:.2f}"
        lines.append(f"| {one.file} | {one.role} | {one.engine} | {one.precision} | {difference} | {error} | {time} |")
    return "\n".join(lines)


def _exported(manifest: Manifest) -> str:
    """Returns the quality and cost of the exported networks, next to the PyTorch network in the same run."""
    measured = [(artifact, artifact.measured) for artifact in manifest.artifacts if artifact.measured]
    if not measured:
        return ""
    lines = [
        "",
        "",
        "Exported networks, with the values of the PyTorch network in brackets, on one core:",
        "",
        "| role | clips | accuracy | bytes | p50 ms | p95 ms |",
        "|---|---|---|---|---|---|",
    ]
    for artifact, found in measured:
        count = artifact.parity.clips if artifact.parity else 0
        accuracy = "-" if found.accuracy is None else f"{found.accuracy:.4g} ({found.accuracy_torch:.4g})"
        ours, theirs = found.latency_ms or ("-", "-"), found.latency_torch_ms or ("-", "-")
        times = " | ".join(f"{a} ({b})" for a, b in zip(ours, theirs, strict=True))
        lines.append(f"| {artifact.role} | {count} {found.clips} | {accuracy} | {found.bytes} | {times} |")
    return "\n".join([*lines, "", f"Measured on {measured[0][1].machine}."])


def _row(artifact: Artifact) -> str:
    parity = artifact.parity
    measured = f"{parity.largest_difference:.2g} | {parity.top_class_agreement:.1%}" if parity else "- | -"
    return f"| {artifact.file} | {artifact.role} | {artifact.engine} | {artifact.precision} | {measured} |"
