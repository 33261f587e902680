"""`gesta halve`: the former name of `gesta quantize --precision fp16`."""

from __future__ import annotations

import typer

from gesta.cli.common import (
    DataOption,
    FormatOption,
    JsonFlag,
    ProtocolOption,
    SplitSeedOption,
    StepOut,
    WeightsArgument,
    console,
)


def halve(
    context: typer.Context,
    bundle: WeightsArgument,
    out: StepOut,
    data: DataOption = None,
    layout: FormatOption = None,
    protocol: ProtocolOption = "subject",
    seed: SplitSeedOption = None,
    json: JsonFlag = False,
) -> None:
    """Former name of `gesta quantize BUNDLE --precision fp16`, which does the same."""
    from gesta.cli.quantize import quantize

    console.print("Note: gesta halve is now gesta quantize --precision fp16.", markup=False, highlight=False)
    quantize(context, bundle, out, "fp16", data, layout, protocol, seed, json=json)
