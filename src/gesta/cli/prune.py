"""`gesta prune`: weights or whole channels that matter little go; what is left is a smaller bundle."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from gesta.cli.common import (
    BackboneOption,
    DataOption,
    DeviceOption,
    FormatOption,
    JsonFlag,
    ProtocolOption,
    SetOption,
    SplitSeedOption,
    StepOut,
    WeightsArgument,
    emit,
    existing,
    given_options,
    need,
    step_lines,
)
from gesta.schema import GestaError

Threshold = Annotated[
    float, typer.Option("--threshold", metavar="X", help="Remove weights smaller than this.", show_default="2^-20")
]
Sparsity = Annotated[
    float | None,
    typer.Option("--sparsity", metavar="SHARE", help="Remove this share of the weights instead, such as 0.8."),
]
Spread = Annotated[
    str,
    typer.Option(
        "--spread",
        help="Where --sparsity removes weights: adaptive, global (the smallest overall) or layer (the same share of "
        "each).",
    ),
]
Channels = Annotated[bool, typer.Option("--channels", help="Remove whole channels (structured pruning). Needs --data.")]
Parameters = Annotated[
    int | None,
    typer.Option("--parameters", metavar="N", help="With --channels, number of parameters to keep instead."),
]
Epochs = Annotated[int, typer.Option("--epochs", help="Fine-tune on --data for this many epochs after each step.")]
Figure = Annotated[
    Path | None, typer.Option("--figure", metavar="FILE", help="Draw a histogram of log2 |w| before pruning (PNG).")
]


def prune(
    context: typer.Context,
    bundle: WeightsArgument,
    out: StepOut,
    threshold: Threshold = 2.0**-20,
    sparsity: Sparsity = None,
    spread: Spread = "adaptive",
    channels: Channels = False,
    keep: Annotated[float, typer.Option("--keep", help="With --channels, share of the parameters to keep.")] = 0.5,
    parameters: Parameters = None,
    steps: Annotated[int, typer.Option("--steps", help="Prune in this many steps.")] = 1,
    epochs: Epochs = 0,
    data: DataOption = None,
    sets: SetOption = None,
    figure: Figure = None,
    layout: FormatOption = None,
    protocol: ProtocolOption = "subject",
    backbone_weights: BackboneOption = None,
    device: DeviceOption = "auto",
    seed: SplitSeedOption = None,
    json: JsonFlag = False,
) -> None:
    """Remove weights or channels that matter least.

    Removes weights below a threshold or a share of them; with --channels, whole channels. With --epochs, the model is
    fine-tuned after each step by the recipe it was trained with, which --set changes, as in
    training.learning_rate=1e-4 or teacher=BUNDLE.

    Examples:
      gesta prune runs/mine/bundle --sparsity 0.8 --out pruned
      gesta prune runs/mine/bundle --channels --keep 0.5 --epochs 5 --data my_gestures --out slim
    """
    need("train", "torch", "lightning", "matplotlib", "tensorboard")
    from gesta.compression.channels import ChannelPruning
    from gesta.compression.prune import Pruning
    from gesta.tasks import catalog

    how: Any = (
        ChannelPruning(keep, parameters, steps, epochs, tuple(sets or ()))
        if channels
        else Pruning(threshold, sparsity, spread, steps, epochs, tuple(sets or ()))  # type: ignore[arg-type]
    )
    how.check()
    sets_need_epochs(sets, epochs)
    if channels and data is None:
        raise GestaError("--channels needs --data DATA, recordings to decide which channels matter.", usage=True)
    task, source = catalog.of_bundle(existing(bundle, "bundle"))
    options = given_options(context, task, backbone_weights=backbone_weights)
    if figure is not None:
        from gesta.bundle import io
        from gesta.compression.magnitudes import draw, magnitudes

        draw({source.manifest.name: magnitudes(io.load_weights(source), threshold)}, figure, str(bundle))
    _run(bundle, out, how, Where(data, layout, protocol, device, seed), json, **options)


class Where:
    """The data of a step, and what it runs on."""

    def __init__(self, data: Path | None, layout: str | None, protocol: str, device: str, seed: int | None) -> None:
        self.data, self.layout, self.protocol, self.device, self.seed = data, layout, protocol, device, seed


def _run(bundle: Path, out: Path, how: Any, where: Where, json: bool, **options: Any) -> None:
    from gesta.compression.channels import prune_channels
    from gesta.compression.prune import Pruning
    from gesta.compression.prune import prune as prune_weights
    from gesta.evaluation.data import parts_for
    from gesta.tasks import catalog
    from gesta.training.run import Run

    task, source = catalog.of_bundle(bundle)
    parts, measured = None, []
    if where.data is not None:
        data = existing(where.data, "data folder")
        parts = parts_for(task, source.manifest, data, where.layout, where.protocol, where.seed)
        measured = parts.of("test")
    seed = source.manifest.provenance.seed if where.seed is None else where.seed
    run = Run(out, seed, device=where.device, progress=not json)
    make: Any = partial(prune_weights, **options) if isinstance(how, Pruning) else prune_channels
    step = make(bundle, out, how, parts=parts, run=run, measured=measured)
    emit(step.document(), "\n".join(step_lines(step, task, where.data)), json)


def sets_need_epochs(sets: list[str] | None, epochs: int) -> None:
    """Raises GestaError (usage) for changes of a fine-tuning that does not take place."""
    if sets and not epochs:
        raise GestaError(f"--set {sets[0]} changes fine-tuning, which needs --epochs N.", usage=True)


def prune_channels_as_before(bundle: Path, out: Path, how: Any, where: Where, json: bool) -> None:
    """`gesta slim`, the former name of `gesta prune --channels`."""
    how.check()
    sets_need_epochs(list(how.sets), how.epochs)
    _run(existing(bundle, "bundle"), out, how, where, json)
