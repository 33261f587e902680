"""`gesta export` of a backbone and a classifier of its features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from gesta.cli.common import command, emit
from gesta.schema import GestaError

if TYPE_CHECKING:
    from gesta.bundle.manifest import Provenance
    from gesta.schema import Sample


def export_sequence(
    bundle: Path,
    to: str,
    out: Path,
    precision: str,
    data: Path | None,
    clips: int,
    force: bool,
    layout: str | None,
    backbone: str | None,
    json: bool,
) -> None:
    """Both stages into a new bundle, compared with PyTorch on some videos of --data, else on random frames.

    int8 is calibrated on training videos of --data.
    """
    from gesta.bundle.io import read_sequence
    from gesta.export.run import chosen_format
    from gesta.export.sequence import CALIBRATION, VIDEOS, export_chain
    from gesta.runtime.sequence import videos_of

    chosen_format(to, precision)
    manifest = read_sequence(bundle).manifest
    used = manifest.backbone
    training, compared = _parts(data, layout, manifest.provenance)
    report = export_chain(
        bundle,
        to=to,
        out=out,
        precision=precision,
        backbone=backbone,
        videos=None if data is None else videos_of(compared, used, min(clips, VIDEOS[precision])),
        calibration=videos_of(training, used, CALIBRATION),
        force=force,
    )
    size = sum(
        len(report.bundle.read(a, name)) for a in report.bundle.manifest.artifacts for name in (a.file, *a.companions)
    )
    document = {
        "bundle": str(out),
        "to": to,
        "precision": precision,
        "agrees": report.agrees,
        "bytes": size,
        "compared_on": "random frames" if data is None else "videos",
        "parity": report.parity.model_dump(mode="json"),
    }
    parity = report.parity
    lines = [
        f"network  {size:,} bytes, backbone and classifier: top class as PyTorch's on {parity.top_class_agreement:.1%} "
        f"of {parity.clips} {'random clips' if data is None else 'videos'}, largest difference "
        f"{parity.largest_difference:.2g}",
        f"bundle   {out}",
        f"next     {command('gesta', 'predict', out, 'VIDEO')}",
    ]
    emit(document, Text("\n".join(lines)), json)


def _parts(data: Path | None, layout: str | None, origin: Provenance) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Videos to calibrate on, and those to compare on: training and validation by the rule of training.

    Without labels all of them are compared on. Raises GestaError if there are none.
    """
    from gesta.cli.parts import parts as divided

    samples, _ = divided(origin, data, layout, "subject", origin.seed)
    if data is not None and not samples:
        raise GestaError(f"{data}: holds no videos to compare on. See `gesta data inspect {data}`.")
    parts = {name: [s for s in samples if s.split == name and s.label is not None] for name in ("train", "val")}
    return parts["train"], parts["val"] or parts["train"] or samples
