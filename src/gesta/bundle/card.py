"""The model card: Markdown from the manifest alone, so that it says only what was recorded or measured."""

from __future__ import annotations

import re
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from gesta.bundle.manifest import Artifact, Manifest, PoseManifest, SequenceManifest
from gesta.untrusted import printable

AnyManifest = Manifest | PoseManifest | SequenceManifest


def render(manifest: AnyManifest) -> str:
    """The card of a bundle. What was not measured is not in it."""
    manifest = _escaped(manifest)
    pose = isinstance(manifest, PoseManifest)
    if isinstance(manifest, PoseManifest):
        head, needed, files = _pose_head(manifest), _pose_input(manifest), _pose_files(manifest)
    elif isinstance(manifest, SequenceManifest):
        head, needed, files = _sequence_head(manifest), _sequence_input(manifest), _files(manifest)
    else:
        head, needed, files = _head(manifest), _input(manifest), _files(manifest)
    parts = [head, _measured(manifest), needed, _origin(manifest, "frames" if pose else "clips"), files]
    return "\n\n".join(part for part in parts if part) + "\n"


T = TypeVar("T")


def _escaped(value: T) -> T:
    """The same with every text as Markdown shows it: control characters, links, tags and tables in it do nothing."""
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
    name = str(manifest.recipe.get("name", "unknown recipe"))
    labels = ", ".join(manifest.labels)
    return (
        f"# {manifest.name}\n\n"
        f"Recognises {len(manifest.labels)} classes: {labels}.\n\n"
        f"Network: {_network(manifest)}, {manifest.parameters:,} parameters, recipe {name}."
    )


def _pose_head(manifest: PoseManifest) -> str:
    model = manifest.recipe.get("model", {})
    network = model.get("name", "unknown") if isinstance(model, dict) else "unknown"
    recipe = manifest.recipe.get("name", "unknown recipe")
    return (
        f"# {manifest.name}\n\n"
        f"Estimates {len(manifest.joints)} joints of a hand in 3D: {', '.join(manifest.joints)}.\n\n"
        f"Network: {network}, {manifest.parameters:,} parameters, recipe {recipe}."
    )


def _sequence_head(manifest: SequenceManifest) -> str:
    model = manifest.recipe.get("model", {})
    network = model.get("name", "unknown") if isinstance(model, dict) else "unknown"
    recipe = manifest.recipe.get("name", "unknown recipe")
    return (
        f"# {manifest.name}\n\n"
        f"Recognises {len(manifest.labels)} classes: {', '.join(manifest.labels)}.\n\n"
        f"Network: the frozen backbone {manifest.backbone.name}, then {network}, {manifest.parameters:,} parameters, "
        f"recipe {recipe}."
    )


def _sequence_input(manifest: SequenceManifest) -> str:
    used = manifest.backbone
    held = any(artifact.stage == "backbone" for artifact in manifest.artifacts)
    inside = "in this bundle" if held else "NOT in this bundle: give it with --backbone-weights"
    which = f"{used.frames} frames, evenly spread" if used.frames is not None else f"one frame of every {used.every}"
    lines = [
        "## Input",
        "",
        f"- RGB video (depth as grey), stretched to {used.size} x {used.size} pixels; {which}",
        f"- backbone {used.name} up to {used.stage}, {used.features} features, {inside}",
        f"- the backbone's weights: {used.weights}",
    ]
    return "\n".join(lines + [f"- {note}" for note in manifest.notes])


def _network(manifest: Manifest) -> str:
    model = manifest.recipe.get("model", {})
    if not isinstance(model, dict):
        return "unknown"
    width = "slimmed" if model.get("layers") else f"at width {model.get('width', 1.0)}"
    return f"{model.get('name', 'unknown')} {width}"


def _measured(manifest: AnyManifest) -> str:
    metrics = manifest.metrics
    if not metrics:
        return "## Measured\n\nNot yet measured. `gesta evaluate BUNDLE DATA` does it."
    lines = ["## Measured", ""]
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            lines += _interval(name, value)
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            lines.append(f"- {name.replace('_', ' ')}: {shown}")
    return "\n".join(lines)


def _interval(name: str, value: object) -> list[str]:
    """A pair of numbers is shown; long tables (per class, confusion) stay in the manifest."""
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value):
        return [f"- {name.replace('_', ' ')}: {value[0]:.4g} to {value[1]:.4g}"]
    return []


def _input(manifest: Manifest) -> str:
    transform = manifest.transform
    central = transform.sampling == "central"
    window = f"the central {transform.window} frames" if central else f"chunks of {transform.chunk}"
    lines = [
        "## Input",
        "",
        f"- needs: {', '.join(transform.needs)}",
        f"- {transform.fps:g} frames a second, {window}",
        f"- streams {', '.join(transform.streams)} of {transform.size} x {transform.size} pixels, "
        f"channels {', '.join(transform.channels)}",
        f"- body crop from: {transform.body}",
    ]
    if manifest.reset_after_chunks:
        lines.append(f"- streaming: the state is reset after {manifest.reset_after_chunks} chunks")
    return "\n".join(lines + [f"- {note}" for note in manifest.notes])


def _pose_input(manifest: PoseManifest) -> str:
    transform = manifest.transform
    what = {"depth": "depth", "rgb": "colour registered to depth", "rgbd": "depth, and colour registered to it"}
    lines = [
        "## Input",
        "",
        f"- {what[transform.inputs]}, a patch of {transform.size} x {transform.size} pixels",
        f"- a cube of {transform.cube_mm:g} mm around the hand's centre",
    ]
    if transform.needs_color and transform.mask:
        lines.append("- colour is black where depth shows no hand, so depth is needed for it, too")
    return "\n".join(lines + [f"- {note}" for note in manifest.notes])


def _origin(manifest: AnyManifest, unit: str = "clips") -> str:
    origin = manifest.provenance
    clips = ", ".join(f"{count} {split}" for split, count in origin.clips.items()) or "not recorded"
    lines = [
        "## Where it comes from",
        "",
        f"- trained {origin.created} by gesta {origin.gesta}, seed {origin.seed}, {origin.seconds:.0f} s",
        f"- data: layout {origin.layout}, {unit}: {clips}, fingerprint {origin.data_fingerprint[:16]}",
        f"- people known at training: {len(origin.people) or 'not recorded'}",
    ]
    if origin.machine:
        lines.append(f"- machine: {origin.machine}")
    if origin.skipped:
        lines.append(f"- recordings left out because they could not be read: {origin.skipped}")
    return "\n".join(lines + [f"- {note}" for note in origin.split_notes])


def _files(manifest: Manifest | SequenceManifest) -> str:
    if not manifest.artifacts:
        return ""
    lines = ["## Files", "", "| file | role | engine | precision | largest difference | top class agrees |"]
    lines.append("|---|---|---|---|---|---|")
    lines += [_row(artifact) for artifact in manifest.artifacts]
    return "\n".join(lines) + _exported(manifest)


def _pose_files(manifest: PoseManifest) -> str:
    if not manifest.artifacts:
        return ""
    lines = ["## Files", "", "| file | role | engine | precision | largest difference, mm | error, mm | p50 ms |"]
    lines.append("|---|---|---|---|---|---|---|")
    for one in manifest.artifacts:
        found = one.pose
        difference = "-" if found is None else f"{found.largest_difference_mm:.2g}"
        error = "-" if found is None or found.error_mm is None else f"{found.error_mm:.2f} ({found.error_mm_torch:.2f})"
        time = "-" if found is None or found.latency_ms is None else f"{found.latency_ms[0]:.2f}"
        lines.append(f"| {one.file} | {one.role} | {one.engine} | {one.precision} | {difference} | {error} | {time} |")
    return "\n".join(lines)


def _exported(manifest: Manifest | SequenceManifest) -> str:
    """What the exported networks reach and cost, beside the PyTorch network in the same run."""
    measured = [(artifact, artifact.measured) for artifact in manifest.artifacts if artifact.measured]
    if not measured:
        return ""
    lines = ["", "", "Exported networks, with the PyTorch network's figures in brackets; one core:", ""]
    lines += ["| role | clips | accuracy | bytes | p50 ms | p95 ms |", "|---|---|---|---|---|---|"]
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
