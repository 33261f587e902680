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
    console,
    emit,
    existing,
    given_options,
    need,
)
from gesta.words import choose

if TYPE_CHECKING:
    from gesta.bundle.io import Bundle
    from gesta.exporting.run import Export
    from gesta.tasks.base import Task

TrainingData = Annotated[
    Path | None, typer.Option("--data", help="The data it was trained on, to compare and (int8) calibrate with.")
]
TrainingProtocol = Annotated[str, typer.Option("--protocol", help="The one of the training: subject or document.")]


def export(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="Bundle with PyTorch weights (folder or zip).", show_default=False)],
    to: Annotated[
        str,
        typer.Option("--to", help="onnx, openvino or web (a page).", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new bundle, or page.", show_default=False)],
    precision: Annotated[str, typer.Option("--precision", help="fp32, fp16 (half the bytes) or int8.")] = "fp32",
    data: TrainingData = None,
    clips: Annotated[int, typer.Option("--clips", help="Validation clips to compare on, at most.", min=1)] = 500,
    force: Annotated[bool, typer.Option("--force", help="Write it even if it does not agree with PyTorch.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what was exported to --out before.")] = False,
    with_preprocessing: Annotated[
        bool, typer.Option("--with-preprocessing", help="Also an ONNX file that takes camera frames, and run.py.")
    ] = False,
    protocol: TrainingProtocol = "subject",
    seed: SplitSeedOption = None,
    layout: FormatOption = None,
    backbone_weights: BackboneOption = None,
    seconds: Annotated[float, typer.Option("--seconds", help="Time for each latency.", min=0.1, max=600)] = 2.0,
    json: JsonFlag = False,
) -> None:
    """Export the networks into a new bundle that runs without PyTorch.

    They are compared with PyTorch on validation clips (without --data on random ones): nothing is written unless the
    top class is the same on all of them (int8: on 99 %). int8 is calibrated on training clips and needs --data.
    Of a hand pose model the joints must be PyTorch's, up to 0.1 mm (fp16: 2 mm, int8: 30 mm, 3 mm on average).
    Of a model of stored features its backbone goes into the new bundle, too, whatever its size; int8 is the backbone's.
    --with-preprocessing adds what runs without gesta: model.onnx, run.py, preprocessing.md and an example.
    --to web writes static files that run a model of RGB or skeletons in a browser; needs `gesta fetch onnxruntime-web`.
    """
    from gesta.tasks import catalog

    task, opened = catalog.of_bundle(existing(bundle, "bundle"))
    page = _checked(task, opened, to, out, overwrite)
    from gesta.evaluation.data import examples_for
    from gesta.exporting.run import CALIBRATION, Export, chosen_format
    from gesta.exporting.standalone import check_option

    given = {"protocol": protocol, "seed": seed, "seconds": seconds, "backbone_weights": backbone_weights}
    options = given_options(context, task, **given)
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
    document, lines = write(task, opened, out, how, examples=shown, calibration=training, say=_say, **options)
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
    document["standalone"] = add_standalone(task, written, _say)
    return document, lines + told(document["standalone"], out)


def _page(task: Task, bundle: Bundle[Any], out: Path, how: Export, **given: Any) -> tuple[dict[str, Any], list[str]]:  # noqa: ARG001
    """The page in the browser."""
    from gesta.exporting.web import site

    document = site.export_site(bundle, out, how, **given)
    return document, site.told(document)


def _say(text: str) -> None:
    console.print(f"{text} ...", highlight=False)
