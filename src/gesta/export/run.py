"""A bundle -> a new one that runs without PyTorch, compared with it on real clips and measured before it is written."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gesta import metrics
from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact, Measured
from gesta.clips.cache import ClipCache
from gesta.clips.transform import Transform
from gesta.evaluate import machine
from gesta.evaluate.latency import in_own_process
from gesta.export import onnx, openvino
from gesta.export.add import Made, make_parts
from gesta.export.parity import AGREEMENT, LARGEST, agrees
from gesta.export.quantize import feeds
from gesta.export.torch_model import Part, load_network
from gesta.runtime.engines.torch import Torch
from gesta.schema import Clip, GestaError, Sample

FORMATS = {"onnx": (onnx.ENGINE, onnx.convert), "openvino": (openvino.ENGINE, openvino.convert)}
"""Name of a format -> the engine that runs it, the function that makes it."""
PRECISIONS = ("fp32", "fp16", "int8")
TIMED_CLIPS = 8
RANDOM = "random"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """What came out. `artifacts` hold parity and what was measured; `agrees`: whether they passed (or were forced)."""

    bundle: Bundle
    artifacts: tuple[Artifact, ...]
    agrees: bool
    bytes_torch: int


def export_bundle(
    bundle: Bundle | Path | str,
    *,
    to: str,
    precision: str = "fp32",
    out: Path | str,
    clips: Sequence[Clip] = (),
    calibration: Sequence[Clip] = (),
    source: str = "validation",
    whole: bool = True,
    force: bool = False,
    seconds: float = 2.0,
    say: Say = lambda _text: None,
) -> Report:
    """Writes a new bundle at `out` with the network in another format: transform, labels, provenance, metrics stay.

    `clips`: prepared clips of the validation part (`source` says of which), with labels for the accuracy; without any,
    random ones, and no accuracy. `calibration`: training clips, for int8. `whole=False` leaves the whole network out of
    a network that streams: its step predicts whole clips too, in half the bytes. Latency is measured for about
    `seconds` each, PyTorch's too; 0 leaves it out.

    Raises GestaError, and writes nothing, for an unknown format or precision (usage), int8 without calibration, an
    `out` that holds trained weights, and, unless `force`, where the top class is not PyTorch's on every clip (int8: on
    99 %).
    """
    bundle = bundle if isinstance(bundle, Bundle) else io.read(bundle)
    engine, convert = chosen_format(to, precision)
    out = Path(out)
    check_out(bundle, out)
    torch = Torch(load_network(bundle))
    if not clips:
        clips, source = random_clips(bundle.manifest.transform), RANDOM
    inputs: dict[str, Any] = {}
    if precision == "int8":
        say("calibrating")
        inputs = feeds(torch, bundle.manifest, calibration)

    def converted(part: Part, stem: str) -> dict[str, bytes]:
        say(f"converting and comparing the {part.role} network")
        return convert(part, stem, precision, inputs.get(part.role, ()))

    roles = ("whole", "step") if whole or not torch.steps else ("step",)
    made = make_parts(bundle, torch, clips, engine, precision, converted, roles)
    passed = all(agrees(one.parity, precision) for one in made)
    if not passed and not force:
        raise GestaError(_refusal(bundle, made, to, precision, source))
    times = {}
    if seconds > 0:
        say("measuring")
        times = _latencies(bundle, made, clips, seconds)
    artifacts = tuple(_with_measured(one, clips, source, bundle.manifest.labels, times) for one in made)
    notes = bundle.manifest.notes if passed else (*bundle.manifest.notes, _forced(made, to, precision, source))
    manifest = bundle.manifest.model_copy(update={"artifacts": artifacts, "notes": notes})
    written = io.write(out, manifest, {name: data for one in made for name, data in one.files.items()})
    return Report(written, artifacts, passed, weight_bytes(bundle))


def prepared(samples: Sequence[Sample], transform: Transform, limit: int, cache: ClipCache | None = None) -> list[Clip]:
    """At most `limit` clips, spread evenly over the samples; those that cannot be prepared are left out."""
    cache = cache or ClipCache()
    count = min(limit, len(samples))
    chosen = [samples[i * len(samples) // count] for i in range(count)]
    cache.fill(chosen, transform)
    clips = []
    for sample in chosen:
        try:
            clips.append(cache.load(sample, transform))
        except GestaError:
            continue  # a broken recording: `gesta data inspect` names it
    return clips


def random_clips(transform: Transform, count: int = 16, seed: int = 0) -> list[Clip]:
    """Clips of noise whose brightness drifts, for where no data are given; of one to four seconds."""
    rng = np.random.default_rng(seed)
    clips = []
    for index in range(count):
        frames = max(transform.chunk, round(rng.uniform(1, 4) * transform.fps))
        drift = np.linspace(rng.uniform(0, 128), rng.uniform(0, 128), frames).reshape(-1, 1, 1, 1, 1)
        noise = rng.integers(0, 128, (frames, *transform.frame_shape))
        clips.append(Clip((noise + drift).astype(np.uint8), id=f"random {index}"))
    return clips


def chosen_format(to: str, precision: str) -> tuple[str, Callable[..., dict[str, bytes]]]:
    """(engine, function that converts) of a format. Raises GestaError (usage) for an unknown format or precision."""
    for what, name, known in (("format", to, tuple(FORMATS)), ("precision", precision, PRECISIONS)):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise GestaError(f"unknown {what} {name!r}; there are {', '.join(known)}.{meant}", usage=True)
    return FORMATS[to]


def check_out(bundle: Bundle[Any], out: Path) -> None:
    """Raises GestaError if something would be lost: the bundle itself, another trained one, or what is no bundle."""
    if out.exists() and out.resolve() == bundle.path.resolve():
        raise GestaError(f"{out}: is the bundle itself. Export into another folder.", usage=True)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / io.MANIFEST).exists())):
        raise GestaError(f"{out}: is there already and is not a bundle, so it is not replaced. Choose another folder.")
    if (out / io.MANIFEST).exists() and io.read_any(out).find("weights", "torch") is not None:
        raise GestaError(f"{out}: holds a trained bundle, whose weights would be lost. Choose another folder.")


def _refusal(bundle: Bundle, made: Sequence[Made], to: str, precision: str, source: str) -> str:
    worst = min((one.parity for one in made), key=lambda parity: parity.top_class_agreement)
    difference = float(np.max([one.parity.largest_difference for one in made]))
    return (
        f"{bundle.path}: {to} {precision} does not say what PyTorch says: top class equal on "
        f"{worst.top_class_agreement:.1%} of {worst.clips} {source} clips (at least {AGREEMENT[precision]:.0%} "
        f"passes), probabilities differ by up to {difference:.3g} (at most {LARGEST[precision]:g} passes). "
        "Nothing was written. Take a higher precision, or write it all the same: --force."
    )


def _forced(made: Sequence[Made], to: str, precision: str, source: str) -> str:
    worst = min((one.parity for one in made), key=lambda parity: parity.top_class_agreement)
    return (
        f"exported to {to} {precision} by force: top class as PyTorch's on {worst.top_class_agreement:.1%} of "
        f"{worst.clips} {source} clips"
    )


def _latencies(
    bundle: Bundle, made: Sequence[Made], clips: Sequence[Clip], seconds: float
) -> dict[str, dict[str, tuple[float, float]]]:
    """{"torch", "export"} -> {"chunk", "clip"} -> (p50, p95) in milliseconds on one core, one after the other."""
    artifact = made[0].artifact
    with tempfile.TemporaryDirectory(prefix="gesta-export-") as scratch:
        file, folder = Path(scratch) / "clips.npz", Path(scratch) / "bundle"
        long = [clip.pixels for clip in clips if len(clip.pixels) >= bundle.manifest.transform.chunk]
        np.savez(file, *(long or [clip.pixels for clip in random_clips(bundle.manifest.transform)])[:TIMED_CLIPS])
        manifest = bundle.manifest.model_copy(update={"artifacts": tuple(one.artifact for one in made)})
        io.write(folder, manifest, {name: data for one in made for name, data in one.files.items()})
        runs = {
            "export": in_own_process(folder, file, artifact.engine, artifact.precision, seconds),
            "torch": in_own_process(bundle.path, file, "torch", "fp32", seconds),
        }
    return {
        name: {part: (run[part]["p50_ms"], run[part]["p95_ms"]) for part in ("chunk", "clip")}
        for name, run in runs.items()
    }


def _with_measured(
    made: Made,
    clips: Sequence[Clip],
    source: str,
    labels: Sequence[str],
    times: dict[str, dict[str, tuple[float, float]]],
) -> Artifact:
    part = "chunk" if made.artifact.role == "step" else "clip"
    measured = Measured(
        clips=source,
        bytes=sum(len(data) for data in made.files.values()),
        latency_ms=times["export"][part] if times else None,
        latency_torch_ms=times["torch"][part] if times else None,
        machine=machine.text(machine.describe()),
        **_accuracies(made, clips, labels),
    )
    return made.artifact.model_copy(update={"measured": measured})


def _accuracies(made: Made, clips: Sequence[Clip], labels: Sequence[str]) -> dict[str, float]:
    """Of both networks on the clips whose label the model knows; nothing where there are none."""
    rows = [i for i, clip in enumerate(clips) if clip.label in labels]
    if not rows:
        return {}
    truth = np.array([labels.index(clips[i].label or "") for i in rows])
    return {
        "accuracy": metrics.accuracy(truth, made.found[rows].argmax(axis=1)),
        "accuracy_torch": metrics.accuracy(truth, made.expected[rows].argmax(axis=1)),
    }


def weight_bytes(bundle: Bundle[Any]) -> int:
    """Bytes of the files of weights."""
    weights = [artifact for artifact in bundle.manifest.artifacts if artifact.role == "weights"]
    return sum(len(bundle.read(artifact)) for artifact in weights)
