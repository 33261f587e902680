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
    emit,
    existing,
    given_options,
    need,
    step_lines,
)
from gesta.schema import GestaError


def prune(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="Bundle (folder or zip) with weights.", show_default=False)],
    out: StepOut,
    threshold: Annotated[float, typer.Option("--threshold", help="Weights smaller than this go.")] = 2.0**-20,
    sparsity: Annotated[
        float | None, typer.Option("--sparsity", help="Share of the weights that goes, e.g. 0.8, instead.")
    ] = None,
    spread: Annotated[
        str, typer.Option("--spread", help="Where they go: adaptive, global (the smallest of all) or layer (of each).")
    ] = "adaptive",
    channels: Annotated[
        bool, typer.Option("--channels", help="Remove whole channels (structured pruning); needs --data.")
    ] = False,
    keep: Annotated[float, typer.Option("--keep", help="With --channels: share of the parameters that stays.")] = 0.5,
    parameters: Annotated[
        int | None, typer.Option("--parameters", help="With --channels: how many stay, instead.")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", help="Reach the share in so many steps.")] = 1,
    epochs: Annotated[int, typer.Option("--epochs", help="Train so many epochs after each step, on --data.")] = 0,
    data: DataOption = None,
    sets: SetOption = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="PNG: histogram of log2 |w| of the bundle before.")
    ] = None,
    layout: FormatOption = None,
    protocol: ProtocolOption = "subject",
    backbone_weights: BackboneOption = None,
    device: DeviceOption = "auto",
    seed: SplitSeedOption = None,
    json: JsonFlag = False,
) -> None:
    """Removes weights by threshold or to a wanted share, or whole channels, step by step with training between.

    --set changes the training's recipe, which is the bundle's own (training.learning_rate=1e-4, teacher=BUNDLE).
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
        raise GestaError("--channels needs --data DATA: training recordings on which channels are judged.", usage=True)
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
        raise GestaError(f"--set {sets[0]}: changes the fine-tuning, and there is none. Add --epochs N.", usage=True)


def prune_channels_as_before(bundle: Path, out: Path, how: Any, where: Where, json: bool) -> None:
    """`gesta slim`, the former name of `gesta prune --channels`."""
    how.check()
    sets_need_epochs(list(how.sets), how.epochs)
    _run(existing(bundle, "bundle"), out, how, where, json)
