"""`gesta prune`: weights that matter little become zero; the rest goes into a sparse file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from gesta.cli.common import (
    DeviceOption,
    FormatOption,
    JsonFlag,
    SetOption,
    SplitSeedOption,
    command,
    emit,
    existing,
    need,
)
from gesta.cli.parts import parts_of
from gesta.schema import GestaError

if TYPE_CHECKING:
    from gesta.compression.store import Step

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Labelled recordings: measures before and after on their test part.")
]
ProtocolOption = Annotated[
    str, typer.Option("--protocol", help="subject: people apart. document: ChaLearn's Validation is the test.")
]
StepOut = Annotated[Path, typer.Option("--out", help="Folder for the new bundle.", show_default=False)]


def prune(
    bundle: Annotated[Path, typer.Argument(help="Bundle (folder or zip) with weights.", show_default=False)],
    out: StepOut,
    threshold: Annotated[float, typer.Option("--threshold", help="Weights smaller than this go.")] = 2.0**-20,
    sparsity: Annotated[
        float | None, typer.Option("--sparsity", help="Share of the weights that goes, e.g. 0.8, instead.")
    ] = None,
    spread: Annotated[
        str, typer.Option("--spread", help="Where they go: adaptive, global (the smallest of all) or layer (of each).")
    ] = "adaptive",
    steps: Annotated[int, typer.Option("--steps", help="Reach the share in so many steps.")] = 1,
    epochs: Annotated[int, typer.Option("--epochs", help="Train so many epochs after each step, on --data.")] = 0,
    data: DataOption = None,
    sets: SetOption = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="PNG: histogram of log2 |w| of the bundle before.")
    ] = None,
    layout: FormatOption = None,
    protocol: ProtocolOption = "subject",
    device: DeviceOption = "auto",
    seed: SplitSeedOption = None,
    json: JsonFlag = False,
) -> None:
    """Removes weights by threshold or to a wanted share, at once or step by step with training between.

    --set changes the training's recipe, which is the bundle's own (training.learning_rate=1e-4, teacher=BUNDLE).
    """
    need("train", "torch", "lightning", "matplotlib", "tensorboard")
    from gesta.bundle import io
    from gesta.compression.magnitudes import draw, magnitudes
    from gesta.compression.prune import Pruning
    from gesta.compression.prune import prune as make

    how = Pruning(threshold, sparsity, spread, steps, epochs, tuple(sets or ()))  # type: ignore[arg-type]
    how.check()
    sets_need_epochs(sets, epochs)
    source = io.read_any(existing(bundle, "bundle"))
    if figure is not None:
        draw({source.manifest.name: magnitudes(io.load_weights(source), threshold)}, figure, str(bundle))
    chance = source.manifest.provenance.seed if seed is None else seed
    samples, found = parts_of(source.manifest, data, layout, protocol, chance)
    measured = [s for s in samples if s.split == "test"]
    step = make(
        bundle,
        out,
        how,
        samples=samples,
        measured=measured,
        layout=found,
        seed=chance,
        device=device,
        progress=not json,
    )
    emit(step.document(), summary(step, data), json)


def sets_need_epochs(sets: Sequence[str] | None, epochs: int) -> None:
    """Raises GestaError (usage) for changes of a fine-tuning that does not take place."""
    if sets and not epochs:
        raise GestaError(f"--set {sets[0]}: changes the fine-tuning, and there is none. Add --epochs N.", usage=True)


def summary(step: Step, data: Path | None) -> Text:
    """What a step left, for people."""
    sparse = [t for t in step.tensors if t.encoding == "bitmap"]
    gone = 1 - step.nonzero / max(step.parameters, 1)
    lines = [
        f"parameters  {step.parameters:,}, not zero {step.nonzero:,} ({gone:.1%} removed)",
        f"weights     {step.bytes_before:,} -> {step.bytes_after:,} bytes",
        f"stored      {len(sparse)} of {len(step.tensors)} tensors sparse (bitmap), "
        f"saving {sum(t.dense_bytes - t.bytes for t in sparse):,} bytes; the others dense",
    ]
    if step.kept:
        lines.append(f"in 32 bits  {', '.join(step.kept[:5])}" + (" ..." if len(step.kept) > 5 else ""))
    if step.emptied:
        lines.append(f"Warning     nothing is left of {', '.join(step.emptied)}")
    if step.comparison is not None:
        lines.append(step.comparison.line)
    else:
        lines.append(f"accuracy    not measured: {'--data DATA does it' if data is None else 'no test part'}")
    lines += [f"bundle      {step.bundle}", f"next        {command('gesta', 'evaluate', step.bundle, data or 'DATA')}"]
    return Text("\n".join(lines))
