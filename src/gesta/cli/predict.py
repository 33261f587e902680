"""gesta predict: what is in videos and recordings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gesta.cli.common import (
    BackboneOption,
    BundleArgument,
    DepthOption,
    DeviceOption,
    EngineOption,
    FormatOption,
    SkeletonOption,
    console,
    given_options,
    json_line,
    say_plain,
)
from gesta.cli.help import OUTPUT, SOME
from gesta.untrusted import printable

Stream = Annotated[
    bool,
    typer.Option("--stream", help="Predict continuously over each recording, in constant memory."),
]
Annotate = Annotated[
    Path | None,
    typer.Option(
        "--annotate",
        metavar="FILE",
        help="Write a video that shows the predictions, with a timeline (.svg): an .mp4, or a folder of them (hand "
        "pose: also .png, no timeline).",
    ),
]
Camera = Annotated[
    str | None,
    typer.Option(
        "--camera",
        help="Hand pose: nyu, icvl, msra, or a camera.yaml with fx, fy, cx, cy.",
        rich_help_panel=SOME,
    ),
]
Center = Annotated[
    str,
    typer.Option(
        "--center",
        help="Hand pose: center of the hand from the data, by the model's detector, the nearest object (data, "
        "detector, nearest), or U,V[,DEPTH] in pixels and mm.",
        rich_help_panel=SOME,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document per line and nothing else.", rich_help_panel=OUTPUT)
]


def predict(
    context: typer.Context,
    bundle: BundleArgument,
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT", help="Videos, recordings, or folders of them.")],
    stream: Stream = False,
    annotate: Annotate = None,
    skeleton: SkeletonOption = None,
    depth: DepthOption = None,
    camera: Camera = None,
    center: Center = "data",
    backbone_weights: BackboneOption = None,
    engine: EngineOption = None,
    format: FormatOption = None,
    device: DeviceOption = "auto",
    json: Json = False,
) -> None:
    """Recognize gestures in videos and recordings.

    Prints the most likely classes of each input. For hand pose models, the inputs are depth images (16-bit PNG in mm,
    or NYU's format), folders of them, data sets or recordings, and the output is 3D joints.

    Examples:
      gesta predict demo my_clip.mp4
      gesta predict runs/mine/bundle recording.mp4 --stream --annotate labeled.mp4
    """
    from gesta.engines.base import Placement
    from gesta.tasks import catalog
    from gesta.tasks.base import Wanted

    task, opened = catalog.of_bundle(bundle)
    options = given_options(
        context, task, skeleton=skeleton, depth=depth, camera=camera, center=center, backbone_weights=backbone_weights
    )
    predictor = task.load(opened, Placement(engine, device), **options)
    failed: list[str] = []
    for said in task.predictions(predictor, Wanted(tuple(inputs), format, stream, annotate, options), failed):
        if said.document is None and not said.heading:
            say_plain(said.line)
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
