"""`gesta slim`: whole channels go, so that the network is smaller and faster everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gesta.cli.common import DeviceOption, FormatOption, JsonFlag, SetOption, SplitSeedOption, emit, existing, need
from gesta.cli.parts import parts
from gesta.cli.prune import ProtocolOption, StepOut, sets_need_epochs, summary
from gesta.schema import GestaError


def slim(
    bundle: Annotated[Path, typer.Argument(help="Bundle (folder or zip) with weights.", show_default=False)],
    data: Annotated[Path, typer.Argument(help="The recordings it was trained on.", show_default=False)],
    out: StepOut,
    keep: Annotated[float, typer.Option("--keep", help="Share of the parameters that stays.")] = 0.5,
    parameters: Annotated[int | None, typer.Option("--parameters", help="How many stay, instead.")] = None,
    steps: Annotated[int, typer.Option("--steps", help="Go there in so many steps.")] = 1,
    epochs: Annotated[int, typer.Option("--epochs", help="Train so many epochs after each step.")] = 0,
    sets: SetOption = None,
    layout: FormatOption = None,
    protocol: ProtocolOption = "subject",
    device: DeviceOption = "auto",
    seed: SplitSeedOption = None,
    json: JsonFlag = False,
) -> None:
    """Removes the channels that matter least to the loss on training clips, with training between.

    --set changes the training's recipe, which is the bundle's own (training.learning_rate=1e-4, teacher=BUNDLE).
    """
    need("train", "torch", "lightning")
    from gesta.cli.kinds import WORDS
    from gesta.compression.slim import Slimming
    from gesta.compression.slim import slim as make
    from gesta.tasks.catalog import read_bundle

    how = Slimming(keep, parameters, steps, epochs, tuple(sets or ()))
    how.check()
    sets_need_epochs(sets, epochs)
    manifest = read_bundle(existing(bundle, "bundle")).manifest
    if manifest.kind != "classifier":
        raise GestaError(f"gesta slim is for recognisers of clips; {bundle} is {WORDS[manifest.kind]}.", usage=True)
    chance = manifest.provenance.seed if seed is None else seed
    samples, found = parts(manifest.provenance, data, layout, protocol, chance)
    step = make(
        bundle,
        out,
        how,
        samples=samples,
        measured=[s for s in samples if s.split == "test"],
        layout=found,
        seed=chance,
        device=device,
        progress=not json,
    )
    emit(step.document(), summary(step, data), json)
