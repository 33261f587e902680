"""`gesta export`: a trained model as a network that runs without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from gesta.cli.common import (
    BackboneOption,
    FormatOption,
    JsonFlag,
    SplitSeedOption,
    WeightsArgument,
    console,
    emit,
    existing,
    given_options,
    need,
    say_step,
)
from gesta.cli.help import DATA, MACHINE
from gesta.words import choose

if TYPE_CHECKING:
    from gesta.bundle.io import Bundle
    from gesta.exporting.run import Export
    from gesta.tasks.base import Task

TrainingData = Annotated[
    Path | None,
    typer.Option("--data", metavar="FOLDER", help="Training data, to check the export on; needed for int8."),
]
TrainingProtocol = Annotated[
    str, typer.Option("--protocol", help="As in training: subject or document.", rich_help_panel=DATA)
]


To = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="FORMAT",
        help="openvino, onnx, or web for a page that runs the model in a browser.",
        show_default=False,
    ),
]
Out = Annotated[
    Path,
    typer.Option("--out", metavar="FOLDER", help="Where to write the new bundle or the page.", show_default=False),
]
Clips = Annotated[
    int, typer.Option("--clips", help="Compare with PyTorch on at most this many validation clips.", min=1)
]
Force = Annotated[bool, typer.Option("--force", help="Write the export even if it does not agree with PyTorch.")]
WithPreprocessing = Annotated[
    bool,
    typer.Option(
        "--with-preprocessing", help="Also write an ONNX file that takes frames or joints as they come, and run.py."
    ),
]
SecondsOption = Annotated[
    float,
    typer.Option("--seconds", help="Seconds to measure each latency.", min=0.1, max=600, rich_help_panel=MACHINE),
]


def export(
    context: typer.Context,
    bundle: WeightsArgument,
    to: To,
    out: Out,
    precision: Annotated[str, typer.Option("--precision", help="fp32, fp16 (half the size) or int8.")] = "fp32",
    data: TrainingData = None,
    clips: Clips = 500,
    force: Force = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export in --out.")] = False,
    with_preprocessing: WithPreprocessing = False,
    protocol: TrainingProtocol = "subject",
    seed: SplitSeedOption = None,
    layout: FormatOption = None,
    backbone_weights: BackboneOption = None,
    seconds: SecondsOption = 2.0,
    json: JsonFlag = False,
) -> None:
    """Convert a model to OpenVINO, ONNX or a web page.

    The new bundle runs without PyTorch. The export is compared with PyTorch on validation clips, or on random ones
    without --data, and is only written if both give the same top class on all of them (int8: on 99 %). The joints of
    a hand pose model may differ by 0.1 mm (fp16: 2 mm; int8: 30 mm, and 3 mm on average). int8 is calibrated on
    training clips.

    For a model on stored features, the network that computes the features is exported along with it; with int8, it
    is the one that is quantized.

    --with-preprocessing adds model.onnx, run.py, preprocessing.md and an example, which run without gesta.

    --to web writes static files for models of RGB or skeletons. Run gesta fetch onnxruntime-web first;
    for skeletons also gesta fetch mediapipe-web and gesta fetch trackers.

    Examples:
      gesta export runs/mine/bundle --to openvino --out exported --data my_gestures
      gesta export runs/mine/bundle --to onnx --precision int8 --out small --data my_gestures
    """
    from gesta.tasks import catalog

    task, opened = catalog.of_bundle(existing(bundle, "bundle"))
    page = _checked(task, opened, to, out, overwrite)
    from gesta.evaluation.data import examples_for
    from gesta.exporting.run import CALIBRATION, Export, chosen_format
    from gesta.exporting.standalone import check_option

    options = given_options(
        context, task, protocol=protocol, seed=seed, seconds=seconds, backbone_weights=backbone_weights
    )
    chosen_format("onnx" if page else to, precision)
    if with_preprocessing:
        check_option(task, to)
    protocol, seed = options.pop("protocol", "subject"), options.pop("seed", None)
    shown = training = None
    if data is not None:
        limits, folder = (clips, CALIBRATION * (precision == "int8")), existing(data, "data folder")
        shown, training = examples_for(task, opened.manifest, folder, limits, layout, protocol, seed)
    how = Export(to, precision, force, overwrite, options.pop("seconds", 0.0))
    write = _page if page else _standalone if with_preprocessing else _bundle
    document, lines = write(task, opened, out, how, examples=shown, calibration=training, say=say_step, **options)
    emit(document, "\n".join(lines), json)


def _checked(task: Task, bundle: Bundle[Any], to: str, out: Path, overwrite: bool) -> bool:
    """Whether a page is asked for. Raises GestaError for another format, what is not installed, or would be lost."""
    from gesta.exporting.web import site

    page = to == site.TO
    if page:
        site.check_option(task, bundle, out, overwrite)
    if not page or site.converts(bundle):
        need("train", "torch")
        need("export", "onnx", "onnxscript", "onnxruntime", "nncf")
    if not page:
        from gesta.exporting.run import FORMATS, check_out

        choose("format", to, (*FORMATS, site.TO))
        check_out(bundle, out, overwrite)
    return page


def _bundle(task: Task, bundle: Bundle[Any], out: Path, how: Export, **given: Any) -> tuple[dict[str, Any], list[str]]:
    """(what was written as plain values, the same in lines)."""
    from gesta.exporting.run import export_bundle

    report = export_bundle(bundle, out, how, **given)
    if not report.agrees:
        console.print(f"[yellow]Warning:[/yellow] {escape(report.bundle.manifest.notes[-1])}", soft_wrap=True)
    document = report.document | {"to": how.to, "precision": how.precision}
    return document, task.lines("export", document)


def _standalone(
    task: Task, bundle: Bundle[Any], out: Path, how: Export, **given: Any
) -> tuple[dict[str, Any], list[str]]:
    """The same, with what runs without gesta."""
    from gesta.exporting.standalone import add_standalone, told
    from gesta.tasks import catalog

    document, lines = _bundle(task, bundle, out, how, **given)
    _, written = catalog.of_bundle(out)
    document["standalone"] = add_standalone(task, written, say_step)
    return document, lines + told(document["standalone"], out)


def _page(task: Task, bundle: Bundle[Any], out: Path, how: Export, **given: Any) -> tuple[dict[str, Any], list[str]]:  # noqa: ARG001
    """The page in the browser."""
    from gesta.exporting.web import site

    document = site.export_site(bundle, out, how, **given)
    return document, site.told(document)
