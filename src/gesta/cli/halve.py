"""`gesta halve`: the former name of `gesta quantize --precision fp16`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gesta.cli.common import DataOption, FormatOption, JsonFlag, ProtocolOption, SplitSeedOption, StepOut, console


def halve(
    context: typer.Context,
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="Bundle (folder or zip) with PyTorch weights.", show_default=False)
    ],
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
