"""`gesta slim`: the former name of `gesta prune --channels`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gesta.cli.common import (
    DeviceOption,
    FormatOption,
    JsonFlag,
    ProtocolOption,
    SetOption,
    SplitSeedOption,
    StepOut,
    WeightsArgument,
    console,
    need,
)


def slim(
    bundle: WeightsArgument,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="The recordings it was trained on.", show_default=False)],
    out: StepOut,
    keep: Annotated[float, typer.Option("--keep", help="Share of the parameters to keep.")] = 0.5,
    parameters: Annotated[
        int | None, typer.Option("--parameters", metavar="N", help="Number of parameters to keep instead.")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", help="Prune in this many steps.")] = 1,
    epochs: Annotated[int, typer.Option("--epochs", help="Fine-tune for this many epochs after each step.")] = 0,
    sets: SetOption = None,
    layout: FormatOption = None,
    protocol: ProtocolOption = "subject",
    device: DeviceOption = "auto",
    seed: SplitSeedOption = None,
    json: JsonFlag = False,
) -> None:
    """Former name of `gesta prune BUNDLE --channels --data DATA`, which does the same."""
    need("train", "torch", "lightning")
    from gesta.cli.prune import Where, prune_channels_as_before
    from gesta.compression.channels import ChannelPruning

    console.print("Note: gesta slim is now gesta prune --channels --data DATA.", markup=False, highlight=False)
    how = ChannelPruning(keep, parameters, steps, epochs, tuple(sets or ()))
    prune_channels_as_before(bundle, out, how, Where(data, layout, protocol, device, seed), json)
