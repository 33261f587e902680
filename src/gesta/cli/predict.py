"""gesta predict: what is in videos and recordings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gesta.cli.common import (
    BackboneOption,
    DepthOption,
    DeviceOption,
    EngineOption,
    FormatOption,
    SkeletonOption,
    console,
    given_options,
    json_line,
)
from gesta.untrusted import printable


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
            help="Write the video with the predictions: an .mp4, or a folder of them (hands: also .png).",
        ),
    ] = None,
    skeleton: SkeletonOption = None,
    depth: DepthOption = None,
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
    """Recognize what is in videos or recordings. With --json one document a line.

    Of a hand pose model: 3D joints in depth images (PNG of 16-bit mm, NYU's), folders of them, data sets, recordings.
    """
    from gesta.engines.base import Placement
    from gesta.tasks import catalog
    from gesta.tasks.base import Wanted

    task, opened = catalog.of_bundle(bundle)
    given = {"camera": camera, "center": center, "backbone_weights": backbone_weights}
    options = given_options(context, task, skeleton=skeleton, depth=depth, **given)
    predictor = task.load(opened, Placement(engine, device), **options)
    failed: list[str] = []
    for said in task.predictions(predictor, Wanted(tuple(inputs), format, stream, annotate, options), failed):
        if said.document is None and not said.heading:
            console.print(said.line, highlight=False, markup=False, soft_wrap=True)
        elif json and said.document is not None:
            _line(json_line(said.document))
        elif not json:
            _line(printable(said.line))
    for reason in failed:
        console.print(f"[red]Failed:[/red] {escape(reason)}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
