"""`gesta export` of a backbone and a classifier of its features."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from gesta.cli.common import emit, existing
from gesta.schema import GestaError

VIDEOS = 32


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
    """Both stages into a new bundle, compared with PyTorch on some videos of --data, else on random frames."""
    from gesta.bundle.io import read_sequence
    from gesta.clips.chosen_frames import read_frames
    from gesta.export.sequence import export_chain

    videos = None
    if data is not None:
        from gesta.sources.catalog import read

        used = read_sequence(bundle).manifest.backbone
        samples = read(existing(data, "data folder"), layout).samples
        count = min(clips, VIDEOS, len(samples))
        if not count:
            raise GestaError(f"{data}: holds no videos to compare on. See `gesta data inspect {data}`.")
        chosen = [samples[i * len(samples) // count] for i in range(count)]
        frames = [read_frames(s, used.size, frames=used.frames, every=used.every, window=used.window) for s in chosen]
        videos = [f if used.window == 1 else f.reshape(-1, used.window, *f.shape[1:]) for f in frames]
    report = export_chain(bundle, to=to, out=out, precision=precision, backbone=backbone, videos=videos, force=force)
    size = sum(
        len(report.bundle.read(a, name)) for a in report.bundle.manifest.artifacts for name in (a.file, *a.companions)
    )
    document = {
        "bundle": str(out),
        "to": to,
        "precision": precision,
        "agrees": report.agrees,
        "bytes": size,
        "compared_on": "random frames" if videos is None else "videos",
        "parity": report.parity.model_dump(mode="json"),
    }
    parity = report.parity
    lines = [
        f"network  {size:,} bytes, backbone and classifier: top class as PyTorch's on {parity.top_class_agreement:.1%} "
        f"of {parity.clips} {'random clips' if videos is None else 'videos'}, largest difference "
        f"{parity.largest_difference:.2g}",
        f"bundle   {out}",
        f"next     gesta predict {out} VIDEO",
    ]
    emit(document, Text("\n".join(lines)), json)
