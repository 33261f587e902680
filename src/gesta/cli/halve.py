"""`gesta halve`: a bundle's weights in half the bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gesta.cli.common import FormatOption, JsonFlag, SplitSeedOption, emit, existing, need
from gesta.cli.parts import parts_of
from gesta.cli.prune import DataOption, ProtocolOption, StepOut, summary


def halve(
    bundle: Annotated[Path, typer.Argument(help="Bundle (folder or zip) with weights.", show_default=False)],
    out: StepOut,
    data: DataOption = None,
    layout: FormatOption = None,
    protocol: ProtocolOption = "subject",
    seed: SplitSeedOption = None,
    json: JsonFlag = False,
) -> None:
    """Stores the weights as float16 (half precision); they are loaded as float32."""
    need("train", "torch", "lightning")
    from gesta.compression.store import halve as make
    from gesta.tasks.catalog import read_bundle

    opened = read_bundle(existing(bundle, "bundle"))
    chance = opened.manifest.provenance.seed if seed is None else seed
    samples, found = parts_of(opened.manifest, data, layout, protocol, chance)
    measured = [s for s in samples if s.split == "test"]
    step = make(bundle, out, samples=measured, layout=found or None)
    emit(step.document(), summary(step, data), json)
