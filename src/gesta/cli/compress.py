"""`gesta compress`: a trained model made small in one go, with a table of what each step cost."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesta.cli.common import (
    BackboneOption,
    DeviceOption,
    FormatOption,
    JsonFlag,
    ProtocolOption,
    SetOption,
    SplitSeedOption,
    console,
    emit,
    existing,
    given_options,
    need,
)
from gesta.schema import GestaError

if TYPE_CHECKING:
    from rich.console import Group

    from gesta.tasks.base import Quality

TargetBytes = Annotated[
    int | None, typer.Option("--target-bytes", help="Choose the most accurate of at most so many bytes.")
]
MaxDrop = Annotated[
    float | None, typer.Option("--max-drop", help="Choose the smallest that loses at most so many points.")
]
Keep = Annotated[
    list[float] | None, typer.Option("--keep", help="Prune channels to this share of the parameters. Repeatable.")
]
Sparsity = Annotated[float | None, typer.Option("--sparsity", help="Share of zeros when pruning; 0: no pruning.")]
Teacher = Annotated[
    list[Path] | None, typer.Option("--teacher", help="Bundle to distil from; the bundle itself if left out.")
]

WorkFolder = Annotated[
    Path, typer.Option("--out", help="Folder for everything; started again, it resumes there.", show_default=False)
]


def compress(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="Trained bundle with weights.", show_default=False)],
    data: Annotated[Path, typer.Argument(help="The recordings it was trained on.", show_default=False)],
    out: WorkFolder,
    target_bytes: TargetBytes = None,
    max_drop: MaxDrop = None,
    keep: Keep = None,
    sparsity: Sparsity = None,
    epochs: Annotated[int, typer.Option("--epochs", help="Fine-tuning after each step.")] = 10,
    steps: Annotated[int, typer.Option("--steps", help="Steps of each pruning, of channels and of weights.")] = 2,
    teacher: Teacher = None,
    distil: Annotated[bool, typer.Option("--distil/--no-distil", help="Fine-tune with the teacher's answers.")] = True,
    sets: SetOption = None,
    to: Annotated[str, typer.Option("--to", help="Format of the runnable networks: openvino or onnx.")] = "openvino",
    clips: Annotated[int, typer.Option("--clips", help="Clips to compare an export on, at most.", min=1)] = 500,
    seconds: Annotated[float, typer.Option("--seconds", help="Time for each latency.", min=0.0, max=600)] = 2.0,
    layout: FormatOption = None,
    protocol: ProtocolOption = "subject",
    backbone_weights: BackboneOption = None,
    device: DeviceOption = "auto",
    seed: SplitSeedOption = None,
    json: JsonFlag = False,
) -> None:
    """Prunes channels and weights, stores in 32, 16 and 8 bits, exports; a table and a figure tell what each step cost.

    Channels are pruned of cnn3d, lstm and cnn3d_lstm; of other networks only weights are.
    What meets --target-bytes or --max-drop is chosen by validation people, never by test, and copied to OUT/best.
    --set changes the recipe of fine-tuning, which is the bundle's own (training.learning_rate=0.001).
    Of a hand pose model: prunes, stores, exports; millimeters, not points. Of stored features: stores, exports.
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
    parts = parts_for(task, source.manifest, folder, layout, protocol, seed)
    split_seed = source.manifest.provenance.seed if seed is None else seed
    document = run_pipeline(
        bundle,
        plan,
        parts,
        Run(out, split_seed, device=device, progress=not json),
        teachers=[str(existing(one, "bundle")) for one in teacher or ()],
        command=shlex.join(["gesta", *sys.argv[1:]]),
        say=_say,
        **options,
    )
    emit(document, _text(document, out, task.quality), json)
    if missing := [why for name, why in document["chosen"].items() if name.endswith("_why")]:
        raise GestaError(" ".join(missing))


def _say(text: str) -> None:
    console.print(f"{text} ...", highlight=False, markup=False, soft_wrap=True)


def _text(document: dict[str, Any], out: Path, quality: Quality) -> Group:
    from rich.console import Group
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
