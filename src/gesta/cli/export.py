"""`gesta export`: a trained model as a network that runs without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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

TrainingData = Annotated[
    Path | None, typer.Option("--data", help="The data it was trained on, to compare and (int8) calibrate with.")
]
TrainingProtocol = Annotated[str, typer.Option("--protocol", help="The one of the training: subject or document.")]


def export(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="Bundle with PyTorch weights (folder or zip).", show_default=False)],
    to: Annotated[str, typer.Option("--to", help="onnx, openvino, or web: a page that runs it in the browser.", show_default=False)],
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
    from gesta.exporting.web import site
    from gesta.tasks import catalog

    task, opened = catalog.of_bundle(existing(bundle, "bundle"))
    page = to == site.TO
    if page:
        site.check_option(task, opened, out, overwrite)
    if not page or site.converts(opened):
        need("train", "torch")
        need("export", "onnx", "onnxscript", "onnxruntime", "nncf")
    from gesta.evaluation.data import examples_for
    from gesta.exporting.run import CALIBRATION, FORMATS, Export, check_out, chosen_format, export_bundle
    from gesta.exporting.standalone import add_standalone, check_option, told

    given = {"protocol": protocol, "seed": seed, "seconds": seconds, "backbone_weights": backbone_weights}
    options = given_options(context, task, **given)
    chosen_format("onnx" if choose("format", to, (*FORMATS, site.TO)) == site.TO else to, precision)
    if with_preprocessing:
        check_option(task, to)
    if not page:
        check_out(opened, out, overwrite)
    protocol, seed = options.pop("protocol", "subject"), options.pop("seed", None)
    shown = training = None
    if data is not None:
        limits, folder = (clips, CALIBRATION * (precision == "int8")), existing(data, "data folder")
        shown, training = examples_for(task, opened.manifest, folder, limits, layout, protocol, seed)
    how = Export(to, precision, force, overwrite, options.pop("seconds", 0.0))
    if page:
        document = site.export_site(opened, out, how, examples=shown, calibration=training, say=_say, **options)
        emit(document, "\n".join(site.told(document)), json)
        return
    report = export_bundle(opened, out, how, examples=shown, calibration=training, say=_say, **options)
    if not report.agrees:
        console.print(f"[yellow]Warning:[/yellow] {escape(report.bundle.manifest.notes[-1])}", soft_wrap=True)
    document = report.document | {"to": to, "precision": precision}
    lines = task.lines("export", document)
    if with_preprocessing:
        document["standalone"] = add_standalone(task, report.bundle, _say)
        lines += told(document["standalone"], out)
    emit(document, "\n".join(lines), json)


def _say(text: str) -> None:
    console.print(f"{text} ...", highlight=False)
