"""`gesta quantize`: a bundle's weights in fewer bits."""

from __future__ import annotations

from typing import Annotated

import typer

from gesta.cli.common import (
    BackboneOption,
    DataOption,
    FormatOption,
    JsonFlag,
    ProtocolOption,
    SplitSeedOption,
    StepOut,
    WeightsArgument,
    emit,
    existing,
    given_options,
    need,
    step_lines,
)
from gesta.words import choose


def quantize(
    context: typer.Context,
    bundle: WeightsArgument,
    out: StepOut,
    precision: Annotated[str, typer.Option("--precision", help="fp32, fp16 (half precision) or int8.")] = "fp16",
    data: DataOption = None,
    layout: FormatOption = None,
    protocol: ProtocolOption = "subject",
    seed: SplitSeedOption = None,
    backbone_weights: BackboneOption = None,
    json: JsonFlag = False,
) -> None:
    """Store a model's weights in 16 or 8 bits.

    The file gets smaller; when loaded, the weights are 32-bit floats again. For networks that also compute in fewer
    bits, see gesta export.

    Example:
      gesta quantize runs/mine/bundle --precision int8 --out small
    """
    need("train", "torch", "lightning")
    from gesta.compression.store import WORDS, store_as
    from gesta.evaluation.data import parts_for
    from gesta.tasks import catalog

    choose("precision", precision, WORDS)
    task, opened = catalog.of_bundle(existing(bundle, "bundle"))
    options = given_options(context, task, backbone_weights=backbone_weights)
    measured = []
    if data is not None:
        folder = existing(data, "data folder")
        measured = parts_for(task, opened.manifest, folder, layout, protocol, seed).of("test")
    step = store_as(bundle, out, precision, samples=measured, **options)  # type: ignore[arg-type]
    emit(step.document(), "\n".join(step_lines(step, task, data)), json)
