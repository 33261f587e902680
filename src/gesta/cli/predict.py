"""gesta predict: what is in videos and recordings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from gesta.cli.common import BackboneOption, DeviceOption, EngineOption, FormatOption, console, json_line
from gesta.schema import GestaError, Prediction, Problem, Sample
from gesta.untrusted import printable

if TYPE_CHECKING:
    from gesta.runtime.recogniser import Recogniser
    from gesta.runtime.sequence import SequenceRecogniser

SHOWN = 3
"""Classes in a line of text."""


@dataclass(frozen=True)
class Item:
    """One thing to predict, and how it is named in the output: as given, or the file where a folder was given."""

    input: str
    sample: Sample


Say = Callable[[Item, Prediction], None]


def predict(
    context: typer.Context,
    bundle: Annotated[
        str, typer.Argument(metavar="BUNDLE", help='A bundle (folder or zip), or "demo", the one in the package.')
    ],
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Videos, recordings, or folders of them.")],
    stream: Annotated[
        bool,
        typer.Option(
            "--stream", help="A prediction a chunk (or kept frame) over each whole recording, in constant memory."
        ),
    ] = False,
    annotate: Annotated[
        Path | None,
        typer.Option(
            "--annotate",
            metavar="FILE",
            help="Write the video with the predictions, an .mp4 (hands: or .png, or a folder).",
        ),
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option("--camera", help="Of hand poses: nyu, icvl, msra, or a camera.yaml with fx, fy, cx, cy."),
    ] = None,
    center: Annotated[
        str, typer.Option("--center", help="Of hand poses: data, nearest (object), or U,V[,DEPTH] in pixels and mm.")
    ] = "data",
    backbone_weights: BackboneOption = None,
    engine: EngineOption = None,
    format: FormatOption = None,
    device: DeviceOption = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON document a line on stdout, nothing else.")] = False,
) -> None:
    """Recognise what is in videos or recordings. With --json one document a line.

    Of a hand pose model: 3D joints in depth images (PNG of 16-bit mm, NYU's), folders of them, data sets, recordings.
    """
    from gesta.cli.kinds import kind_of, refuse
    from gesta.runtime.recogniser import load

    kind = kind_of(bundle)
    if kind == "pose":
        from gesta.cli.predict_pose import predict_pose

        refuse(context, kind, "stream", "backbone_weights")
        predict_pose(
            bundle,
            inputs,
            camera=camera,
            center=center,
            annotate=annotate,
            engine=engine,
            layout=format,
            device=device,
            json=json,
        )
        return
    refuse(context, kind, "camera", "center")
    failed: list[str] = []
    items = list(_items(inputs, format, stream, failed))
    if kind == "sequence":
        from gesta.runtime.sequence import load_sequence

        if annotate is not None:
            _check_annotate(annotate, items)
        chain = load_sequence(bundle, engine, device, backbone=backbone_weights)
        if stream:
            chain.open_stream()  # refuses a model that cannot, before anything is said
            _say_streams(items, _following(chain, annotate), _json_line if json else _stream_line, failed)
        else:
            _predict_videos(chain, items, json, failed)
            if annotate is not None and not failed:
                _draw(chain, items, annotate)
        _end(failed)
        return
    refuse(context, kind, "backbone_weights")
    if annotate is not None:
        _check_annotate(annotate, items)
    recogniser = load(bundle, engine, device)
    say = _json_line if json else _stream_line if stream else _clip_line
    if stream:
        _follow(recogniser, items, say, annotate, failed)
    else:
        _predict_clips(recogniser, items, say, failed)
        if annotate is not None and not failed:
            _draw(recogniser, items, annotate)
    _end(failed)


def _end(failed: list[str]) -> None:
    for reason in failed:
        console.print(f"[red]Failed:[/red] {escape(reason)}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _predict_videos(recogniser: SequenceRecogniser, items: list[Item], json: bool, failed: list[str]) -> None:
    """One prediction a sample, by a backbone's features of it."""
    for item in items:
        try:
            found = recogniser.predict(item.sample)
        except GestaError as error:
            failed.append(str(error))
        else:
            (_json_line if json else _clip_line)(item, found)


def _items(inputs: list[Path], layout: str | None, stream: bool, failed: list[str]) -> Iterator[Item]:
    """What there is to predict; what is broken is added to `failed`."""
    from gesta.runtime.inputs import find, lost, whole_recordings

    for path in inputs:
        try:
            listing = find(path, layout)
        except GestaError as error:
            if error.usage:
                raise
            failed.append(str(error))
            continue
        failed += lost(listing)
        alone = len(whole_recordings(listing.samples)) == 1
        for sample in whole_recordings(listing.samples) if stream else listing.samples:
            yield Item(str(path if alone else sample.files[0].path), sample)


def _check_annotate(out: Path, items: list[Item]) -> None:
    recordings = {item.sample.files[0] for item in items}
    if len(recordings) > 1:
        raise GestaError(f"--annotate writes one video, and {len(recordings)} are given. Give one.", usage=True)
    if out.suffix.lower() != ".mp4":
        raise GestaError(f"--annotate {out}: the video is written as .mp4. Give a name that ends so.", usage=True)


def _predict_clips(recogniser: Recogniser, items: list[Item], say: Say, failed: list[str]) -> None:
    """One prediction a sample; those of one recording share one decode pass."""
    from gesta.clips.prepare import prepare_recording
    from gesta.runtime.inputs import notes

    noted: set[str] = set()
    for _, group in groupby(items, key=lambda item: item.sample.files):
        fit = {item.sample.id: item for item in _fitting(recogniser, list(group), failed)}
        for clip in prepare_recording([item.sample for item in fit.values()], recogniser.manifest.transform):
            if isinstance(clip, Problem):
                failed.append(str(clip))
            else:
                noted.update(notes(fit[clip.id].sample, recogniser.manifest))
                say(fit[clip.id], recogniser.predict(clip))
    _tell(noted)


def _follow(recogniser: Recogniser, items: list[Item], say: Say, out: Path | None, failed: list[str]) -> None:
    """A prediction a chunk over each recording; into the annotated video too where one is asked for."""
    from gesta.runtime.inputs import notes

    fit = _fitting(recogniser, items, failed)
    noted = {note for item in fit for note in notes(item.sample, recogniser.manifest)}
    _say_streams(fit, _following(recogniser, out), say, failed)
    _tell(noted)


def _following(
    recogniser: Recogniser | SequenceRecogniser, out: Path | None
) -> Callable[[Sample], Iterator[Prediction]]:
    from gesta.evaluate.annotate import annotate

    def follow(sample: Sample) -> Iterator[Prediction]:
        yield from recogniser.stream(sample) if out is None else annotate(recogniser, sample, out)
        _wrote(out)

    return follow


def _say_streams(
    items: list[Item], follow: Callable[[Sample], Iterator[Prediction]], say: Say, failed: list[str]
) -> None:
    """The predictions of each recording as they come."""
    for item in items:
        if say is _stream_line:
            _line(printable(item.input))
        try:
            for found in follow(item.sample):
                say(item, found)
        except GestaError as error:
            failed.append(str(error) if item.input in str(error) else f"{item.input}: {error}")


def _draw(recogniser: Recogniser | SequenceRecogniser, items: list[Item], out: Path) -> None:
    from gesta.evaluate.annotate import annotate
    from gesta.runtime.inputs import whole_recordings

    for sample in whole_recordings(item.sample for item in items):
        for _ in annotate(recogniser, sample, out):
            pass
        _wrote(out)


def _wrote(out: Path | None) -> None:
    if out is not None:
        console.print(f"Wrote {out}", highlight=False, markup=False, soft_wrap=True)


def _fitting(recogniser: Recogniser, items: list[Item], failed: list[str]) -> list[Item]:
    """Those that have what the model needs."""
    from gesta.runtime.inputs import require

    fit = []
    for item in items:
        try:
            require(item.sample, recogniser.manifest)
            fit.append(item)
        except GestaError as error:
            failed.append(str(error))
    return fit


def _tell(noted: set[str]) -> None:
    for note in sorted(noted):
        console.print(f"Note, other than in training: {note}", highlight=False, markup=False, soft_wrap=True)


def _json_line(item: Item, found: Prediction) -> None:
    document: dict[str, object] = {"input": item.input, "sample": item.sample.id, "label": found.label}
    if found.time_s is not None:
        document["time_s"] = round(found.time_s, 3)
    if item.sample.label is not None:
        document["truth"] = item.sample.label
    document["probabilities"] = {label: round(p, 6) for label, p in found.probabilities.items()}
    _line(json_line(document))


def _clip_line(item: Item, found: Prediction) -> None:
    ranked = sorted(found.probabilities.items(), key=lambda pair: -pair[1])[:SHOWN]
    whole = item.sample.id == item.sample.recording
    name = item.input if whole else f"{item.input} [{item.sample.id}]"
    _line(printable(f"{name}  " + ", ".join(f"{label} {p:.2f}" for label, p in ranked)))


def _stream_line(_item: Item, found: Prediction) -> None:
    _line(printable(f"{found.time_s or 0.0:9.2f} s  {found.confidence:.2f}  {found.label}"))


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
