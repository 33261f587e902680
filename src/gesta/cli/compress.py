"""`gesta compress`: a trained model made small in one go, with a table of what each step cost."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group

from gesta.cli.common import (
    BackboneOption,
    ClusterOption,
    DeviceOption,
    FormatOption,
    JsonFlag,
    ProtocolOption,
    SetOption,
    SplitSeedOption,
    WeightsArgument,
    emit,
    existing,
    given_options,
    jobs_in,
    need,
    say_step,
)
from gesta.cli.help import MACHINE
from gesta.schema import GestaError

if TYPE_CHECKING:
    from rich.console import Group

    from gesta.tasks.base import Quality

TargetBytes = Annotated[
    int | None, typer.Option("--target-bytes", metavar="N", help="Choose the most accurate model of at most N bytes.")
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        "--max-drop",
        metavar="N",
        help="Choose the smallest model that loses at most N percentage points (hand pose: mm).",
    ),
]
Keep = Annotated[
    list[float] | None,
    typer.Option("--keep", metavar="SHARE", help="Prune channels to this share of the parameters. Repeatable."),
]
Sparsity = Annotated[
    float | None, typer.Option("--sparsity", metavar="SHARE", help="Share of weights set to zero; 0 for none.")
]
Teacher = Annotated[
    list[Path] | None,
    typer.Option("--teacher", metavar="BUNDLE", help="Model to distill from. (default: the bundle itself)"),
]

WorkFolder = Annotated[
    Path, typer.Option("--out", metavar="FOLDER", help="Folder for all results.", show_default=False)
]


Distil = Annotated[bool, typer.Option("--distil/--no-distil", help="Fine-tune by distillation from the teacher.")]
To = Annotated[str, typer.Option("--to", metavar="FORMAT", help="Format of the exported models: openvino or onnx.")]
Clips = Annotated[int, typer.Option("--clips", help="Compare exports with PyTorch on at most this many clips.", min=1)]
SecondsOption = Annotated[
    float,
    typer.Option("--seconds", help="Seconds to measure each latency.", min=0.0, max=600, rich_help_panel=MACHINE),
]


def compress(
    context: typer.Context,
    bundle: WeightsArgument,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="The recordings it was trained on.", show_default=False)],
    out: WorkFolder,
    target_bytes: TargetBytes = None,
    max_drop: MaxDrop = None,
    keep: Keep = None,
    sparsity: Sparsity = None,
    epochs: Annotated[int, typer.Option("--epochs", help="Epochs of fine-tuning after each step.")] = 10,
    steps: Annotated[int, typer.Option("--steps", help="Steps of each kind of pruning.")] = 2,
    teacher: Teacher = None,
    distil: Distil = True,
    sets: SetOption = None,
    to: To = "openvino",
    clips: Clips = 500,
    seconds: SecondsOption = 2.0,
    layout: FormatOption = None,
    protocol: ProtocolOption = "subject",
    backbone_weights: BackboneOption = None,
    cluster: ClusterOption = None,
    device: DeviceOption = "auto",
    seed: SplitSeedOption = None,
    json: JsonFlag = False,
) -> None:
    """Make a model small: prune, quantize, export and compare.

    Prunes channels and weights with fine-tuning in between, stores the result in 32, 16 and 8 bits, and exports it. A
    table and a figure show what each step cost in accuracy. If you stop it, the same command continues.

    With --target-bytes or --max-drop, the best model is chosen on the validation part, never on the test part, and
    copied to OUT/best. --set changes the recipe of fine-tuning, which is the one the model was trained with.

    Channels are pruned in cnn3d, lstm and cnn3d_lstm, otherwise only weights; models on stored features are not pruned.

    Examples:
      gesta compress runs/mine/bundle my_gestures --out small
      gesta compress runs/mine/bundle my_gestures --out small --target-bytes 500000
    """
    need("train", "torch", "lightning", "matplotlib")
    need("export", "onnx", "onnxscript", "onnxruntime", "nncf")
    from gesta.compression.pipeline import compress as run_pipeline
    from gesta.compression.plan import Plan
    from gesta.evaluation.data import parts_for
    from gesta.tasks import catalog
    from gesta.training.run import Run

    shares = tuple(sorted(keep, reverse=True)) if keep else None
    plan = Plan(target_bytes, max_drop, shares, sparsity, epochs, steps, distil, tuple(sets or ()), to, clips, seconds)
    plan.check()
    task, source = catalog.of_bundle(existing(bundle, "bundle"))
    options = given_options(context, task, protocol=protocol, backbone_weights=backbone_weights)
    folder, protocol = existing(data, "data folder"), options.pop("protocol", "subject")
    parts = parts_for(task, source.manifest, folder, layout, protocol, seed, validation=True)
    run = Run(out, source.manifest.provenance.seed if seed is None else seed, device=device, progress=not json)
    teachers = [str(existing(one, "bundle")) for one in teacher or ()]
    told: dict[str, Any] = {"teachers": teachers, "command": shlex.join(["gesta", *sys.argv[1:]]), "say": say_step}
    with jobs_in(out, cluster, "compress"):
        document = run_pipeline(bundle, plan, parts, run, **told, **options)
    _report(document, out, task.quality, json)


def _report(document: dict[str, Any], out: Path, quality: Quality, json: bool) -> None:
    """Prints the table. Raises GestaError where nothing meets what was asked for."""
    emit(document, _text(document, out, quality), json)
    if missing := [why for name, why in document["chosen"].items() if name.endswith("_why")]:
        raise GestaError(" ".join(missing))


def _text(document: dict[str, Any], out: Path, quality: Quality) -> Group:
    from rich.table import Table
    from rich.text import Text

    from gesta.compression import frontier
    from gesta.compression.pipeline import BEST

    head, *body = frontier.table(document, quality)
    shown = Table(box=None, pad_edge=False)
    for name in head:
        shown.add_column(Text(name), justify="left" if name in ("step", "precision") else "right")
    for line in body:
        shown.add_row(*(Text(cell) for cell in line))
    lines = []
    for form in frontier.FORMS:
        if (number := document["chosen"].get(form)) is not None:
            row = document["rows"][number]
            lines.append(f"{form:<9} {out / BEST[form]}: {row['step']} in {row['precision']}")
    lines += [f"note      {note}" for note in document["notes"]]
    lines += [f"table     {out / 'frontier.md'}", f"figure    {out / 'frontier.png'}"]
    return Group(shown, Text("\n".join(["", *lines])))
