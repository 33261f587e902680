"""Exports a bundle's networks to another format: converted, run as on a user's machine, compared, then kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact
from gesta.engines import convert_onnx, convert_openvino, host
from gesta.engines.base import Placement
from gesta.engines.catalog import open_engine
from gesta.engines.part import Part
from gesta.engines.torch import open_parts
from gesta.evaluation.latency import in_own_process
from gesta.schema import GestaError
from gesta.tasks import catalog
from gesta.tasks.base import Agreement, Examples, Task
from gesta.words import choose

FORMATS = {
    "onnx": (convert_onnx.ENGINE, convert_onnx.convert),
    "openvino": (convert_openvino.ENGINE, convert_openvino.convert),
}
"""Name of a format -> (engine that runs it, function that converts to it)."""
PRECISIONS = ("fp32", "fp16", "int8")
TIMED = 16
RANDOM = 16
COMPARED = 500
CALIBRATION = 300
"""Maximum number of samples for comparing networks, and for calibrating 8-bit ones."""
Say = Callable[[str], None]
Files = dict[str, bytes]


@dataclass(frozen=True)
class Made:
    """An artifact with its files and its agreement with PyTorch."""

    artifact: Artifact
    files: Files
    agreement: Agreement


@dataclass(frozen=True)
class Report:
    """Result of an export. `artifacts` include the measurements; `agrees`: whether they passed (or were forced)."""

    bundle: Bundle[Any]
    artifacts: tuple[Artifact, ...]
    agrees: bool
    bytes_torch: int

    @property
    def document(self) -> dict[str, Any]:
        """As plain values, for --json."""
        hidden = {"inputs", "outputs", "states"}
        return {
            "bundle": str(self.bundle.path),
            "agrees": self.agrees,
            "bytes": sum(self.bundle.size_of(artifact) for artifact in self.artifacts),
            "bytes_torch": self.bytes_torch,
            "artifacts": [artifact.model_dump(mode="json", exclude=hidden) for artifact in self.artifacts],
        }


@dataclass(frozen=True)
class Export:
    """Export settings. `force`: even if it disagrees with PyTorch; `overwrite`: replace an exported bundle at `out`.

    `seconds`: time to measure each latency, also PyTorch's; 0 skips it. `roles`: which networks, if there are several.
    """

    to: str
    precision: str = "fp32"
    force: bool = False
    overwrite: bool = False
    seconds: float = 2.0
    roles: tuple[str, ...] = ("whole", "step")


def export_bundle(
    path: Path | str | Bundle[Any],
    out: Path | str,
    how: Export,
    *,
    examples: Examples | None = None,
    calibration: Examples | None = None,
    timed_with: Path | None = None,
    say: Say = lambda _text: None,
    **options: Any,
) -> Report:
    """Writes a new bundle at `out` with the networks in another format; the rest of its manifest is unchanged.

    `examples`: preprocessed inputs to compare on; random if not given. `calibration`: inputs of the training split, for
    int8. `timed_with`: the bundle whose PyTorch latency is reported for comparison, by default the source. `options`:
    those of the task's `graphs`.

    Raises GestaError, and writes nothing, for an unknown format or precision (usage), int8 without calibration, an
    `out` that contains something else, and, unless `force`, if a network does not agree with PyTorch.
    """
    task, bundle = catalog.of_bundle(path.path if isinstance(path, Bundle) else path)
    engine, _ = chosen_format(how.to, how.precision)
    out, precision = Path(out), how.precision
    check_out(bundle, out, how.overwrite)
    parts = chosen_roles(task.graphs(bundle, **options), how.roles)
    shown = examples if examples is not None and examples.inputs else random_examples(task, bundle)
    made = make(task, bundle, parts, shown, engine, precision, calibration, say)
    passed = all(one.agreement.passes for one in made)
    words = worst(made).words
    if not passed and not how.force:
        raise GestaError(
            f"{bundle.path}: {how.to} {precision} does not agree with PyTorch: {words}. Nothing was written. Use a "
            "higher precision, or write it anyway: --force."
        )
    artifacts = tuple(one.artifact for one in made)
    files = {name: data for one in made for name, data in one.files.items()}
    if how.seconds > 0:
        say("measuring")
        artifacts = timed(bundle, made, shown, how.seconds, timed_with or bundle.path)
    manifest = bundle.manifest.with_artifacts((*artifacts, *bundle.manifest.counts))
    if not passed:
        forced = f"exported to {how.to} {precision} with --force: {words}"
        manifest = manifest.model_copy(update={"notes": (*manifest.notes, forced)})
    written = io.write(out, manifest, files | bundle.counts())
    return Report(written, artifacts, passed, weight_bytes(bundle))


def add(
    path: Path | str, examples: Examples | None = None, engine: str = "openvino", **options: Any
) -> list[Agreement]:
    """Adds the networks in an engine's format, in fp32, to the bundle itself.

    Raises GestaError, and leaves the bundle as it was, if one does not agree with PyTorch.
    """
    task, bundle = catalog.of_bundle(path)
    shown = examples if examples is not None and examples.inputs else random_examples(task, bundle)
    made = make(task, bundle, task.graphs(bundle, **options), shown, engine, "fp32")
    for one in made:
        if not one.agreement.passes:
            raise GestaError(
                f"{bundle.path}: the {one.artifact.role} network for {engine} does not agree with PyTorch: "
                f"{one.agreement.words}. It is not in the bundle; run it with --engine torch, and report it with the "
                "recipe."
            )
    for one in made:
        bundle = io.add_artifact(bundle, one.artifact, one.files)
    return [one.agreement for one in made]


def make(
    task: Task,
    bundle: Bundle[Any],
    parts: Sequence[Part],
    examples: Examples,
    engine: str,
    precision: str,
    calibration: Examples | None = None,
    say: Say = lambda _text: None,
) -> list[Made]:
    """Converts the parts, runs them from files, and compares them with PyTorch, role by role. Raises GestaError."""
    convert = next(made for name, made in FORMATS.values() if name == engine)
    feeds: dict[tuple[str, str], list[Any]] = {}
    if precision == "int8":
        say("calibrating")
        feeds = task.feeds(bundle, _needed(calibration, task.unit))
    made = []
    for role in dict.fromkeys(part.role for part in parts):
        say(f"converting and comparing the {role} network")
        group = [part for part in parts if part.role == role]
        files = [
            _converted(task, part, engine, precision, convert, feeds.get((role, part.stage), ())) for part in group
        ]
        artifacts = [artifact_of(part, held, engine, precision) for part, held in zip(group, files, strict=True)]
        agreement = _compared(task, bundle, group, artifacts, files, examples)
        made += [
            Made(artifact.model_copy(update=agreement.fields), held, agreement)
            for artifact, held in zip(artifacts, files, strict=True)
        ]
    return [_with_size(one) for one in made]


def _converted(
    task: Task, part: Part, engine: str, precision: str, convert: Callable[..., Files], feeds: Sequence[Any]
) -> Files:
    name = part.role if part.stage == "network" else part.stage
    stem = f"{engine}_{name}_{precision}"
    special = getattr(task, "convert", None)
    if special is not None and (found := special(part, stem, engine, precision)) is not None:
        return dict(found)
    return convert(part, stem, precision, feeds)


def _compared(
    task: Task,
    bundle: Bundle[Any],
    parts: Sequence[Part],
    artifacts: Sequence[Artifact],
    files: Sequence[Files],
    examples: Examples,
) -> Agreement:
    """Agreement of one role's networks, loaded from a bundle as users do, with PyTorch's."""
    here = Placement(artifacts[0].engine, "cpu", None, artifacts[0].precision)
    with tempfile.TemporaryDirectory() as scratch:
        trial = bundle.manifest.model_copy(update={"artifacts": tuple(artifacts)})
        content = {name: data for held in files for name, data in held.items()}
        written = io.write(Path(scratch) / "trial", trial, content)
        running = open_engine(written, here, lambda: parts, [part.stage for part in parts])
        reference = open_parts(parts, Placement(device="cpu"))
        one, other = (task.predictor(e, bundle.manifest) for e in (reference, running))
        return task.compare(one, other, examples, artifacts[0])


def artifact_of(part: Part, files: Files, engine: str, precision: str) -> Artifact:
    """The manifest entry for a part's files, not yet compared or measured."""
    network, *companions = files
    return Artifact.model_validate(
        {
            "role": part.role,
            "engine": engine,
            "precision": precision,
            "file": network,
            "sha256": io.digest(files[network]),
            "companions": {name: io.digest(files[name]) for name in companions},
            "inputs": part.inputs,
            "outputs": part.outputs,
            "states": part.states,
            "stage": part.stage,
        }
    )


def chosen_format(to: str, precision: str) -> tuple[str, Callable[..., Files]]:
    """(engine, conversion function) of a format. Raises GestaError (usage) for an unknown format or precision."""
    choose("precision", precision, PRECISIONS)
    return FORMATS[choose("format", to, FORMATS)]


def chosen_roles(parts: Sequence[Part], roles: Iterable[str]) -> list[Part]:
    """The parts with these roles; all parts if none has a role."""
    return [part for part in parts if part.role in roles] or list(parts)


def check_out(bundle: Bundle[Any], out: Path, overwrite: bool = False) -> None:
    """Raises GestaError if `out` is the bundle itself, another trained one, or not a bundle, and would be lost."""
    if out.exists() and out.resolve() == bundle.path.resolve():
        raise GestaError(f"{out}: is the bundle itself. Export into another folder.", usage=True)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / io.MANIFEST).exists())):
        raise GestaError(f"{out}: already exists and is not a bundle, so it is not replaced. Choose another folder.")
    if not (out / io.MANIFEST).exists():
        return
    if catalog.read_bundle(out).find("weights", "torch") is not None:
        raise GestaError(f"{out}: contains a trained bundle, whose weights would be lost. Choose another folder.")
    if not overwrite:
        raise GestaError(
            f"{out}: contains an exported bundle. Choose another --out, or replace it: --overwrite.", usage=True
        )


def random_examples(task: Task, bundle: Bundle[Any]) -> Examples:
    """Random inputs, for use without data."""
    return task.examples(bundle.manifest, (), RANDOM, "random")


def worst(made: Sequence[Made]) -> Agreement:
    """The agreement that fails or, if none does, the one with the largest difference."""
    return max((one.agreement for one in made), key=lambda one: (not one.passes, one.difference))


def timed(
    bundle: Bundle[Any], made: Sequence[Made], examples: Examples, seconds: float, beside: Path
) -> tuple[Artifact, ...]:
    """The artifacts with p50 and p95 in milliseconds on one core, also PyTorch's, measured one after another."""
    first = made[0].artifact
    with tempfile.TemporaryDirectory(prefix="gesta-export-") as scratch:
        file, folder = Path(scratch) / "inputs.npz", Path(scratch) / "bundle"
        np.savez(file, *examples.inputs[:TIMED])
        artifacts = (*(one.artifact for one in made), *bundle.manifest.counts)
        files = {name: data for one in made for name, data in one.files.items()}
        io.write(folder, bundle.manifest.model_copy(update={"artifacts": artifacts}), files | bundle.counts())
        ours = in_own_process(folder, file, first.engine, first.precision, seconds)
        theirs = in_own_process(beside, file, "torch", "fp32", seconds)
    return tuple(_with_latency(one, ours, theirs) for one in made)


def _with_latency(made: Made, ours: dict[str, Any], theirs: dict[str, Any]) -> Artifact:
    name = made.agreement.timing
    if name is None:
        return made.artifact
    times = {
        "latency_ms": (ours[name]["p50_ms"], ours[name]["p95_ms"]),
        "latency_torch_ms": (theirs[name]["p50_ms"], theirs[name]["p95_ms"]),
    }
    return _with_measured(made.artifact, times)


def _with_size(made: Made) -> Made:
    known = {"bytes": sum(map(len, made.files.values())), "machine": host.text(host.describe())}
    return Made(_with_measured(made.artifact, known), made.files, made.agreement)


def _with_measured(artifact: Artifact, known: dict[str, Any]) -> Artifact:
    key = "measured" if artifact.pose is None else "pose"
    return artifact.model_copy(update={key: getattr(artifact, key).model_copy(update=known)})


def _needed(calibration: Examples | None, unit: str) -> Examples:
    if calibration is None or not calibration.inputs:
        raise GestaError(
            f"int8 needs training {unit} for calibration, but there are none. Give the data the model was trained on: "
            "--data DATA.",
            usage=True,
        )
    return calibration


def weight_bytes(bundle: Bundle[Any]) -> int:
    """Total size of the weight files in bytes."""
    weights = [artifact for artifact in bundle.manifest.artifacts if artifact.role == "weights"]
    return sum(len(bundle.read(artifact)) for artifact in weights)
