"""`gesta pose`: files of hand joints. `compare` measures predictions against the truth."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from gesta.cli.common import JsonFlag, console, emit, existing, group, need, progress
from gesta.cli.help import Command
from gesta.files import write_files
from gesta.schema import GestaError

if TYPE_CHECKING:
    from gesta.tasks.hands.compare import Compared
    from gesta.tasks.hands.joint_files import Coordinates

app = group("Measure files of predicted hand joints against the ground truth.")


Truth = Annotated[
    Path,
    typer.Argument(metavar="GROUND_TRUTH", help="Text file with one row per frame: u v d or x y z of each joint."),
]
Predictions = Annotated[
    list[Path],
    typer.Argument(metavar="PREDICTIONS", help="Files of predictions with the same rows; only u v with --depth."),
]
Camera = Annotated[str, typer.Option("--camera", help="nyu, icvl, msra, or a camera.yaml with fx, fy, cx, cy.")]
DepthOption = Annotated[
    Path | None,
    typer.Option(
        "--depth", metavar="FOLDER", help="Depth images, in the order of the rows, for the depth at each u v."
    ),
]
CoordinatesOption = Annotated[
    str, typer.Option("--coordinates", help="Meaning of three numbers per joint: uvd, xyz or auto.")
]
Cube = Annotated[
    float, typer.Option("--cube", help="With --depth, ignore depth outside a cube of this size in mm.", min=1)
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="FOLDER", help="Write curves, bars, table and result.json here.")
]


@app.command(cls=Command)
def compare(
    truth: Truth,
    predictions: Predictions,
    camera: Camera = "nyu",
    depth: DepthOption = None,
    coordinates: CoordinatesOption = "auto",
    cube: Cube = 300.0,
    out: Out = None,
    json: JsonFlag = False,
) -> None:
    """Compare predicted joints with the ground truth, in one table.

    Reports mean error and error per joint in mm, and the success rate, for your own predictions and published ones.

    Example:
      gesta pose compare ground_truth.txt mine.txt published.txt --camera nyu --out comparison
    """
    from gesta.sources.cameras import find_camera
    from gesta.tasks.hands.compare import PUBLISHED_CAMERAS, markdown
    from gesta.tasks.hands.compare import compare as measure

    if out is not None:
        need("train", "matplotlib")
    taken = _coordinates(coordinates)
    lens, unit = (PUBLISHED_CAMERAS[camera], 1.0) if camera in PUBLISHED_CAMERAS else find_camera(camera)
    left_out: list[GestaError] = []
    with progress("comparing") as tick:
        found = measure(
            truth,
            predictions,
            lens,
            depth=None if depth is None else existing(depth, "folder of depth images"),
            depth_unit_mm=unit,
            coordinates=taken,
            cube_mm=cube,
            progress=tick,
            left_out=left_out,
        )
    for error in left_out:
        console.print(f"Skipped: {error}", markup=False, highlight=False, soft_wrap=True)
    if any(one.coordinates != "xyz" for one in found):
        focal = f"fx {lens.fx:g}, fy {lens.fy:g}"
        console.print(f"Pixels are converted with the camera {camera} (--camera), {focal}.", highlight=False)
    if out is not None:
        _write(found, out)
    emit([one.document() for one in found], Text(markdown(found).rstrip()), json)


def _coordinates(name: str) -> Coordinates | None:
    known: dict[str, Coordinates | None] = {"auto": None, "uvd": "uvd", "xyz": "xyz"}
    if name not in known:
        raise GestaError(f"unknown --coordinates {name!r}; choose from {', '.join(known)}.", usage=True)
    return known[name]


def _write(found: list[Compared], out: Path) -> None:
    """result.json, table.md, success_rate.png and per_joint.png in `out`."""
    from gesta.tasks.hands.compare import joint_names, markdown, titles
    from gesta.tasks.hands.figures import draw_per_joint, draw_success

    out.mkdir(parents=True, exist_ok=True)
    errors = dict(zip(titles(found), (one.errors_mm for one in found), strict=True))
    frames, joints = found[0].errors_mm.shape
    draw_success(errors, out / "success_rate.png", f"Success rate, {frames:,} frames of {joints} joints")
    draw_per_joint(errors, out / "per_joint.png", f"Error of each joint, {frames:,} frames", joint_names(joints))
    texts = {"result.json": json_module.dumps([one.document() for one in found], indent=1), "table.md": markdown(found)}
    write_files(out, texts)
    console.print(f"Curves, bars, table and result.json are in {out}", highlight=False, soft_wrap=True)
