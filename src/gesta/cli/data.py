"""`gesta data`: check a data folder (`inspect`), write its index.csv (`index`), generate one (`make`), preprocess its
clips into the cache (`prepare`) or into shards (`pack`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from gesta.cli.common import (
    ClusterOption,
    FormatOption,
    JsonFlag,
    SeedOption,
    console,
    emit,
    existing,
    group,
    jobs_in,
    progress,
)
from gesta.cli.data_pack import pack
from gesta.cli.data_prepare import prepare
from gesta.cli.help import Command
from gesta.schema import GestaError, nothing_usable
from gesta.words import counted, did_you_mean

app = group("Check, index, pack or generate a data folder.")


@app.command(cls=Command)
def inspect(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Data folder, recording or video.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Also write inspect.html, a page with pictures, here."),
    ] = None,
    format: FormatOption = None,
    json: JsonFlag = False,
) -> None:
    """Show what is in a data folder and what is wrong with it.

    Counts classes, people and clips, and lists problems, each with its reason and what to do. With --out, a page shows
    film strips and skeletons. For hand pose data (NYU, ICVL, MSRA, or a folder of depth images), shows counts,
    resolution, camera, unit and joints over depth.

    Example:
      gesta data inspect my_gestures --out report
    """
    from gesta.tasks import catalog
    from gesta.tasks.base import need as need_ability

    task = catalog.of_data(existing(data, "data folder"), format)
    look = need_ability(task, "inspect", "gesta data inspect")
    listing = task.read(data, format)
    with progress("checking files") as tick:
        report = look(listing, tick)
    document = report.to_json()
    if out is not None:
        page = task.inspect_page(report, listing, out)  # type: ignore[attr-defined]
        document["page"] = str(page)
        console.print(f"The page with pictures is {page}", highlight=False, soft_wrap=True)
    emit(document, report.to_text(), json)
    if report.usable == 0:
        raise nothing_usable(data, report.problems)


@app.command(cls=Command)
def index(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Data folder; index.csv is written into it.")],
    subject: Annotated[
        str | None,
        typer.Option(
            "--subject",
            metavar="PATTERN",
            help="Where the person is in file names, as in '{subject}_*' or '*/{subject}/*'.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            metavar="PATTERN",
            help="Where the label is in file names, as in '*_{label}'. (default: the folder's name)",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing index.csv.")] = False,
    format: FormatOption = None,
    json: JsonFlag = False,
) -> None:
    """Write the index.csv of a folder: path, label, person and split.

    Labels and splits are taken from the folders, people from the file names. In a pattern, * stands for anything and ?
    for one character; {subject} matches as little as possible.

    Example:
      gesta data index my_gestures --subject "{subject}_*"
    """
    from gesta.cli.data_index import index_document, index_text
    from gesta.sources.catalog import read
    from gesta.sources.index_write import write_index
    from gesta.sources.name_patterns import NamePattern

    patterns = [
        None if text is None else NamePattern(text, field) for text, field in ((subject, "subject"), (label, "label"))
    ]
    written = write_index(read(existing(data, "data folder"), format), *patterns, overwrite=overwrite)
    emit(index_document(written), index_text(written, data), json)


Recordings = Annotated[
    int, typer.Option("--recordings", min=1, help="Recordings per person (ucf101, isogd: per class).")
]
Classes = Annotated[int, typer.Option("--classes", min=2, max=400, help="Number of classes (ucf101, isogd, ledasila).")]
TestRecordings = Annotated[
    int | None,
    typer.Option(
        "--test-recordings",
        min=1,
        metavar="N",
        help="Recordings per person in the test part. (default: as --recordings)",
    ),
]
Images = Annotated[
    int,
    typer.Option(
        "--images",
        min=1,
        help="Number of training images (cifar10, cifar100; nyu: per view). One fifth as many test images are added.",
    ),
]


HANDS = "nyu"
Kind = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        help="chalearn2014, ucf101, isogd, ledasila, captions, everyday, cifar10, cifar100 or nyu.",
    ),
]
Videos = Annotated[
    bool,
    typer.Option("--videos/--no-videos", help="Make videos, or only skeletons, which is much faster (captions)."),
]


@app.command(cls=Command)
def make(
    context: typer.Context,
    kind: Kind,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New or empty folder to write to.")],
    people: Annotated[
        int, typer.Option("--people", min=1, help="Number of people (nyu: in the training part, default 1).")
    ] = 27,
    recordings: Recordings = 1,
    classes: Classes = 20,
    test_recordings: TestRecordings = None,
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Size of the videos in pixels.")] = "320x240",
    images: Images = 5000,
    videos: Videos = True,
    seed: SeedOption = 0,
    cluster: ClusterOption = None,
    json: JsonFlag = False,
) -> None:
    """Generate synthetic recordings, images or hands in the layout of a real data set.

    Example:
      gesta data make chalearn2014 generated --people 12
    """
    from gesta.synthetic.catalog import CLIP_GENERATORS, DESCRIBED_GENERATORS, IMAGE_GENERATORS, LANDMARK_GENERATORS

    start = time.perf_counter()
    if kind in IMAGE_GENERATORS:
        given = {"people": people} if _given(context, "people") else {}
        _refuse(context, kind, "recordings", "test_recordings", "size", "classes", "videos", "cluster")
        if kind != HANDS:
            _refuse(context, kind, *given)
        _make_images(kind, out, {"images": images, "seed": seed, **given}, json)
        return
    if kind in CLIP_GENERATORS or kind in DESCRIBED_GENERATORS:
        described = kind in DESCRIBED_GENERATORS
        _refuse(context, kind, "images", "test_recordings", "classes" if described else "videos")
        own = {"videos": videos} if described else {"classes": classes}
        settings = {"people": people, "recordings": recordings, "size": parse_size(size), "seed": seed, **own}
        with jobs_in(out, cluster, "data make"), progress(f"generating {kind}") as tick:
            names = {**CLIP_GENERATORS, **DESCRIBED_GENERATORS}[kind](out, **settings, progress=tick)
        seconds = time.perf_counter() - start
        document = {"out": str(out), **settings, "videos": len(names), "seconds": round(seconds, 2)}
        emit(
            document,
            f"{counted(len(names), 'video')} of {counted(people, 'person', 'people')} in {out} ({seconds:.1f} s)",
            json,
        )
        return
    maker, landmarks = _generator(kind), kind in LANDMARK_GENERATORS
    _refuse(context, kind, "images", "classes", "videos", *(("size", "test_recordings") if landmarks else ()))
    drawn = {} if landmarks else {"size": parse_size(size), "test_recordings": test_recordings}
    with jobs_in(out, cluster, "data make"), progress(f"generating {kind}") as tick:
        names = maker(out, people=people, recordings=recordings, seed=seed, **drawn, progress=tick)
    seconds = time.perf_counter() - start
    found = {"out": str(out), "recordings": len(names), "people": people, "size": size, "seconds": round(seconds, 2)}
    emit(
        found,
        f"{counted(len(names), 'recording')} of {counted(people, 'person', 'people')} in {out} ({seconds:.1f} s)",
        json,
    )


def _make_images(kind: str, out: Path, settings: dict[str, int], json: bool) -> None:
    from gesta.synthetic.catalog import IMAGE_GENERATORS

    start = time.perf_counter()
    with progress(f"generating {kind}") as tick:
        files = IMAGE_GENERATORS[kind](out, **settings, progress=tick)
    seconds, images = time.perf_counter() - start, settings["images"]
    document = {"out": str(out), "files": files, "images": images, "seconds": round(seconds, 2)}
    emit(document, f"{images} training and {images // 5} test images in {out} ({seconds:.1f} s)", json)


def _generator(kind: str) -> Callable[..., list[str]]:
    from gesta.synthetic import catalog

    found = {**catalog.GENERATORS, **catalog.LANDMARK_GENERATORS}
    if kind not in found:
        known = [name for group in vars(catalog) if group.endswith("GENERATORS") for name in getattr(catalog, group)]
        meant = did_you_mean(kind, known)
        raise GestaError(f"unknown kind of data {kind!r}; choose from {', '.join(known)}.{meant}", usage=True)
    return found[kind]


def _refuse(context: typer.Context, kind: str, *options: str) -> None:
    """Raises GestaError (usage) if one of these options, which the kind does not have, was given."""
    for name in options:
        if _given(context, name):
            raise GestaError(
                f"--{name.replace('_', '-')} does not apply to {kind}. Leave it out; see gesta data make --help.",
                usage=True,
            )


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def parse_size(text: str) -> tuple[int, int]:
    """`320x240` -> (320, 240). Raises GestaError (usage) for anything else."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) >= 16 and int(height) >= 16):
        raise GestaError(f"--size {text!r}: expected WIDTHxHEIGHT of at least 16, e.g. 320x240.", usage=True)
    return int(width), int(height)


app.command(cls=Command)(prepare)
app.command(cls=Command)(pack)
