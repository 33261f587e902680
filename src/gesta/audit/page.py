"""The report as one self-contained HTML page, with film strips and drawn skeletons."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from gesta.audit.faults_files import span_s
from gesta.audit.probing import main_video
from gesta.audit.report import Report
from gesta.clips.decode import probe
from gesta.clips.read import iter_recording
from gesta.draw import Image, depth_image, draw_skeleton, film_strip, jpeg
from gesta.files import write_whole
from gesta.look import head, linked, sorting, titled
from gesta.schema import Frame, GestaError, Listing, Sample, grouped
from gesta.words import counted

SAMPLES_PER_CLASS = 2
FRAMES = 8
MOST_CLASSES = 60


@dataclass(frozen=True)
class Strip:
    """One film strip on the page: its sample and the picture as base64 JPEG, or why there is none.

    `linked`: the caption with links to the sample's files.
    """

    caption: str
    linked: Markup
    picture: str = ""
    error: str = ""


def write_html(report: Report, listing: Listing, out: Path) -> Path:
    """Writes the page to `out` (a file, or a folder for `inspect.html`) and returns its path.

    Raises GestaError if it cannot be written. Samples that cannot be decoded are shown with the reason.
    """
    most = max(report.classes.values(), default=1)
    return write_page(
        out,
        Path(__file__).with_name("page.html"),
        rows=list(_rows(listing.samples)),
        report=report,
        most=most,
        more=len(report.classes) - MOST_CLASSES,
    )


def write_page(out: Path, template: Path, **values: Any) -> Path:
    """Fills the template and writes it to `out` (a file, or a folder for `inspect.html`); returns its path.

    Raises GestaError if it cannot be written.
    """
    path = out if out.suffix.lower() in (".html", ".htm") else out / "inspect.html"
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["counted"] = counted
    title = titled(values["report"].root.absolute().name)
    values |= {"title": title, "head": head(f"{title}: contents"), "sorting": sorting()}
    try:
        write_whole(path, environment.from_string(template.read_text(encoding="utf-8")).render(**values))
    except OSError as error:
        raise GestaError(f"{path}: cannot be written ({error}). Choose another --out or free some space.") from error
    return path


def strips(samples: Sequence[Sample], n: int = FRAMES, height: int = 120) -> dict[str, Image | str]:
    """Returns, by sample id, a film strip of `n` frames of the sample's span, or the reason why there is none.

    Shows color, else depth, with the skeleton if available. Each recording is decoded once for all its samples.
    """
    recordings = grouped((main_video(sample), sample) for sample in samples)
    made: dict[str, Image | str] = {}
    for members in recordings.values():
        try:
            made.update(_recording_strips(members, n, height))
        except (GestaError, OSError, ValueError) as error:
            made.update((sample.id, str(error)) for sample in members)
    return made


def _recording_strips(members: Sequence[Sample], n: int, height: int) -> dict[str, Image | str]:
    main = members[0]
    if main.color is None and main.depth is None:
        raise GestaError("Only a skeleton, so there is no picture.")
    if main.color is not None:
        main = replace(main, depth=None, mask=None)
    spans = {s.id: _wanted(s, n) for s in members}
    wanted = set().union(*spans.values())
    images: dict[int, Image] = {}
    for index, frame in iter_recording(main, lambda i, _t: i in wanted, color=True, stop=lambda i, _t: i > max(wanted)):
        images[index] = film_strip([_drawn(frame, main)], 1, height)
    found = {s.id: [images[i] for i in sorted(spans[s.id]) if i in images] for s in members}
    return {
        name: film_strip(f, n, height) if f else "No frame of its span could be decoded." for name, f in found.items()
    }


def _rows(samples: Sequence[Sample]) -> Iterator[tuple[str, list[Strip]]]:
    """Yields (class, its strips), from as many different people as possible."""
    groups = grouped((sample.label or "without label", sample) for sample in samples)
    chosen = {label: _varied(groups[label]) for label in sorted(groups)[:MOST_CLASSES]}
    made = strips([sample for members in chosen.values() for sample in members])
    for label, members in chosen.items():
        yield label, [_strip(sample, made[sample.id]) for sample in members]


def _varied(members: Sequence[Sample]) -> list[Sample]:
    """Returns a few of the samples: the first of each person, then others."""
    firsts = {s.subject: s for s in reversed(members)}
    order = sorted(members, key=lambda s: firsts[s.subject] is not s)  # stable
    return order[:SAMPLES_PER_CLASS]


def _strip(sample: Sample, made: Image | str) -> Strip:
    caption = sample.id + (f", person {sample.subject}" if sample.subject else "")
    named = linked(caption, (file.path for file in sample.files))
    if isinstance(made, str):
        return Strip(caption, named, error=made)
    try:
        return Strip(caption, named, base64.b64encode(jpeg(made)).decode())
    except ValueError as error:
        return Strip(caption, named, error=str(error))


def _wanted(sample: Sample, n: int) -> set[int]:
    """Returns the indices of `n` frames, evenly spaced over the sample's span."""
    if sample.first_frame is not None and sample.last_frame is not None:
        first, last = sample.first_frame, sample.last_frame
    else:
        info = probe(main_video(sample), "color" if sample.color is not None else "depth")
        start_s, end_s = span_s(sample, info)
        inside = np.flatnonzero((info.times_s >= start_s - 1e-3) & (info.times_s < end_s - 1e-3))
        first, last = (inside[0], inside[-1]) if len(inside) else (0, 0)
    return {int(index) for index in np.linspace(first, last, n).round()}


def _drawn(frame: Frame, sample: Sample) -> Image:
    if frame.color is not None:
        image = frame.color
    elif frame.depth_mm is not None:
        image = depth_image(frame.depth_mm)
    else:
        raise GestaError(f"{sample.id}: a frame has neither color nor depth.")
    return image if frame.joints_uv is None else draw_skeleton(image, frame.joints_uv, sample.joints)
