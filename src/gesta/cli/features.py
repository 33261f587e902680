"""`gesta features`: a frozen backbone's features of every video, stored on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from gesta.cli.common import (
    SHOWN_SKIPPED,
    DeviceOption,
    FormatOption,
    JsonFlag,
    console,
    emit,
    existing,
    need,
    progress,
)
from gesta.schema import GestaError

BackboneName = Annotated[
    str,
    typer.Option(
        "--backbone",
        help="resnet18, resnet34, resnet50, inception_v1, inception_v3, efficientnet_lite0, c3d or i3d.",
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option("--weights", help="File; the official one is downloaded if left out; random[:SEED] to try out."),
]
FramesOption = Annotated[
    int | None,
    typer.Option("--frames", min=1, help="Exactly so many frames of each video; 20 (c3d, i3d: 20 windows)."),
]
MostFrequent = Annotated[int | None, typer.Option("--most-frequent", min=1, help="Only the n most frequent classes.")]
RenewOption = Annotated[bool, typer.Option("--renew", help="Compute again what an older gesta decoded.")]
FeatureEngine = Annotated[
    str | None, typer.Option("--engine", help="openvino or torch; openvino on a CPU if left out.")
]


def features(
    data: Annotated[Path, typer.Argument(help="Data folder, or a video.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder for the features; a stopped run resumes in it.")],
    backbone: BackboneName = "resnet50",
    weights: WeightsOption = None,
    frames: FramesOption = None,
    every: Annotated[int | None, typer.Option("--every", min=1, help="Every n-th frame instead.")] = None,
    stage: Annotated[str | None, typer.Option("--stage", help="Where to take features; the last if left out.")] = None,
    maps: Annotated[bool, typer.Option("--maps", help="Maps of the stage, not their mean over the image.")] = False,
    size: Annotated[int | None, typer.Option("--size", min=32, help="Pixels of a side; the published one.")] = None,
    most_frequent: MostFrequent = None,
    at_least: Annotated[int, typer.Option("--at-least", min=1, help="Only classes with as many videos.")] = 1,
    layout: FormatOption = None,
    engine: FeatureEngine = None,
    device: DeviceOption = "auto",
    devices: Annotated[int, typer.Option("--devices", help="Processes (GPUs) on each computer.", min=1)] = 1,
    nodes: Annotated[int, typer.Option("--nodes", help="Computers.", min=1)] = 1,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of each process.")] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Frames (c3d, i3d: windows) at a time.")] = 32,
    renew: RenewOption = False,
    json: JsonFlag = False,
) -> None:
    """Compute a frozen backbone's features of every video once, for training on them."""
    need("train", "torch", "lightning")
    existing(data, "data folder")
    if frames is not None and every is not None:
        raise GestaError("--frames and --every are two ways to choose frames. Give one of them.", usage=True)
    from gesta.sources.catalog import read
    from gesta.tasks.feature_store import FeatureRecipe
    from gesta.tasks.features.backbones import describe, extractor
    from gesta.tasks.features.extract import Settings
    from gesta.tasks.features.extraction import Machines, run

    if most_frequent is not None or at_least > 1:
        layout = f"{layout or ''}+{most_frequent or 'all'}x{at_least}"
    listing = read(data, layout)
    ready = extractor(backbone, weights, stage=stage, pooled=not maps, size=size)
    count = 20 * ready.window if frames is None and every is None else frames
    recipe = FeatureRecipe(**describe(ready), frames=count, every=every)
    machines = Machines(device, devices, nodes, threads, engine)
    with progress(f"features of {len(listing.samples)} videos") as tick:
        summary = run(
            listing,
            out,
            ready,
            recipe,
            machines=machines,
            settings=Settings(batch=batch, renew=renew),
            progress=tick,
            source=_source(weights),
        )
    if summary is None:
        return
    document = summary.to_json()
    for line in (*map(str, listing.problems[:SHOWN_SKIPPED]), *summary.notes):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    emit(document, _text(document), json)
    if not summary.videos:
        raise GestaError(f"{data}: no video could be used. Look with gesta data inspect.")


def _source(weights: str | None) -> str:
    """Where the weights come from, for a bundle that is to hold them."""
    if weights is None:
        return "official"
    return weights if weights.partition(":")[0] == "random" else str(Path(weights).resolve())


def _text(document: dict[str, Any]) -> Text:
    from gesta.tasks.lines import skipped

    lines = [f"videos    {document['videos']} in {document['out']} ({document['computed']} new)"]
    if document["features"]:
        lines.append(
            f"speed     {document['features_per_s']:.1f} features a second by {document['engine']}, "
            f"{document['of_network_rate']:.0%} of the time in the network ({os.cpu_count()} cores)"
        )
    lines += skipped(document["skipped"])
    return Text("\n".join(lines))
