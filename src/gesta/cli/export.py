"""`gesta export`: a trained model as a network that runs without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from gesta.cli.common import BackboneOption, FormatOption, JsonFlag, command, console, emit, existing, need
from gesta.schema import GestaError

if TYPE_CHECKING:
    from gesta.bundle.manifest import Artifact, Provenance
    from gesta.export.run import Report
    from gesta.schema import Sample

CALIBRATION_CLIPS = 128


def export(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="Bundle with PyTorch weights (folder or zip).", show_default=False)],
    to: Annotated[str, typer.Option("--to", help="onnx or openvino.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new bundle.", show_default=False)],
    precision: Annotated[str, typer.Option("--precision", help="fp32, fp16 (half the bytes) or int8.")] = "fp32",
    data: Annotated[
        Path | None, typer.Option("--data", help="The data it was trained on, to compare and (int8) calibrate with.")
    ] = None,
    clips: Annotated[int, typer.Option("--clips", help="Validation clips to compare on, at most.", min=1)] = 500,
    force: Annotated[bool, typer.Option("--force", help="Write it even if it does not agree with PyTorch.")] = False,
    protocol: Annotated[
        str, typer.Option("--protocol", help="The one of the training: subject or document.")
    ] = "subject",
    seed: Annotated[int | None, typer.Option("--seed", help="Of the split; the training's if left out.", min=0)] = None,
    layout: FormatOption = None,
    backbone_weights: BackboneOption = None,
    seconds: Annotated[float, typer.Option("--seconds", help="Time for each latency.", min=0.1, max=600)] = 2.0,
    json: JsonFlag = False,
) -> None:
    """Export the whole network and its streaming step into a new bundle that runs without PyTorch.

    Both are compared with PyTorch on validation clips (without --data on random ones): nothing is written unless the
    top class is the same on all of them (int8: on 99 %). int8 is calibrated on training clips and needs --data.
    Of a hand pose model the joints must be PyTorch's, up to 0.1 mm (fp16: 2 mm, int8: 30 mm, 3 mm in the mean).
    Of a model of stored features its backbone goes into the new bundle, too, whatever its size; int8 is the backbone's.
    """
    need("train", "torch")
    need("export", "onnx", "onnxscript", "onnxruntime", "nncf")
    from gesta.cli.kinds import kind_of, refuse

    existing(bundle, "bundle")
    kind = kind_of(bundle)
    if kind == "pose":
        from gesta.cli.export_pose import export_pose

        refuse(context, kind, "protocol", "backbone_weights")
        export_pose(bundle, to, out, precision, data, clips, force, seed, layout, seconds, json)
        return
    if kind == "sequence":
        from gesta.cli.export_sequence import export_sequence

        refuse(context, kind, "protocol", "seed", "seconds")
        export_sequence(bundle, to, out, precision, data, clips, force, layout, backbone_weights, json)
        return
    refuse(context, kind, "backbone_weights")
    from gesta.bundle.io import read
    from gesta.export.run import export_bundle, prepared

    opened = read(existing(bundle, "bundle"))
    transform = opened.manifest.transform
    parts = _parts(opened.manifest.provenance, data, layout, protocol, seed)
    held_out = parts["val"] and "val" in opened.manifest.provenance.clips  # else they were trained on, too
    calibration = prepared(parts["train"], transform, CALIBRATION_CLIPS) if precision == "int8" else []
    report = export_bundle(
        opened,
        to=to,
        precision=precision,
        out=out,
        clips=prepared(parts["val"] or parts["train"], transform, clips),
        calibration=calibration,
        source="validation" if held_out else "training",
        force=force,
        seconds=seconds,
        say=lambda text: console.print(f"{text} ...", highlight=False),
    )
    if not report.agrees:
        console.print(f"[yellow]Warning:[/yellow] {escape(report.bundle.manifest.notes[-1])}", soft_wrap=True)
    emit(_document(report, to, precision, out), _text(report, out), json)


def _parts(
    origin: Provenance, data: Path | None, layout: str | None, protocol: str, seed: int | None
) -> dict[str, list[Sample]]:
    """Training and validation samples by the rule of training. Raises GestaError if there are none."""
    from gesta.cli.parts import parts as divided

    samples, _ = divided(origin, data, layout, protocol, origin.seed if seed is None else seed)
    parts = {name: [s for s in samples if s.split == name] for name in ("train", "val")}
    if data is not None and not parts["train"]:
        raise GestaError(f"{data}: holds no labelled training clips. See `gesta data inspect {data}`.")
    return parts


def _document(report: Report, to: str, precision: str, out: Path) -> dict[str, Any]:
    return {
        "bundle": str(out),
        "to": to,
        "precision": precision,
        "agrees": report.agrees,
        "bytes": sum(a.measured.bytes for a in report.artifacts if a.measured),
        "bytes_torch": report.bytes_torch,
        "artifacts": [a.model_dump(mode="json", exclude={"inputs", "outputs", "states"}) for a in report.artifacts],
    }


def _text(report: Report, out: Path) -> Text:
    lines = []
    for artifact in report.artifacts:
        lines += _lines(artifact)
    lines.append(f"weights  {report.bytes_torch:,} bytes in the trained bundle")
    lines.append(f"bundle   {out}")
    lines.append(f"next     {command('gesta', 'predict', out, 'VIDEO')}")
    return Text("\n".join(lines))


def _lines(artifact: Artifact) -> list[str]:
    parity, measured = artifact.parity, artifact.measured
    assert parity is not None and measured is not None
    lines = [
        f"{artifact.role:<8} {artifact.file}, {measured.bytes:,} bytes: top class as PyTorch's on "
        f"{parity.top_class_agreement:.1%} of {parity.clips} {measured.clips} clips, "
        f"largest difference {parity.largest_difference:.2g}"
    ]
    if measured.accuracy is not None:
        lines.append(f"         accuracy {measured.accuracy:.3f}, PyTorch {measured.accuracy_torch:.3f}")
    if measured.latency_ms is not None and measured.latency_torch_ms is not None:
        what, ours, theirs = (
            "chunk" if artifact.role == "step" else "clip",
            measured.latency_ms,
            measured.latency_torch_ms,
        )
        lines.append(
            f"         a {what} on one core {ours[0]:.2f} ms (p95 {ours[1]:.2f}), PyTorch {theirs[0]:.2f} "
            f"(p95 {theirs[1]:.2f}): {theirs[0] / ours[0]:.1f} times faster"
        )
    return lines
