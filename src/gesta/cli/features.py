"""`gesta features`: a frozen backbone's features of every video, stored on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from gesta.cli.common import (
    SHOWN_SKIPPED,
    ClusterOption,
    DeviceOption,
    DevicesOption,
    FormatOption,
    JsonFlag,
    NodesOption,
    console,
    emit,
    existing,
    jobs_in,
    need,
    progress,
)
from gesta.cli.help import DATA, MACHINE
from gesta.files import write_whole
from gesta.schema import GestaError

SKELETON, CAPTIONS = "skeleton", "captions.csv"

BackboneName = Annotated[
    str,
    typer.Option(
        "--backbone",
        help="Network that computes the features: resnet18, resnet34, resnet50, inception_v1, inception_v3, "
        "efficientnet_lite0, c3d, i3d; or skeleton for joints.",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="BUNDLE",
        help="Take the states (or, with --stage, class probabilities) of this trained model instead.",
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights, or random[:SEED] for a trial. (default: the published ones, downloaded)",
    ),
]
FramesOption = Annotated[
    int | None,
    typer.Option(
        "--frames",
        min=1,
        metavar="N",
        help="Take exactly N frames of each video. (default: 20; for c3d and i3d 20 windows)",
    ),
]
MostFrequent = Annotated[
    int | None,
    typer.Option(
        "--most-frequent", min=1, metavar="N", help="Use only the N most frequent classes.", rich_help_panel=DATA
    ),
]
RenewOption = Annotated[bool, typer.Option("--renew", help="Recompute features that an older version of gesta made.")]
FeatureEngine = Annotated[
    str | None,
    typer.Option("--engine", help="openvino or torch. (default: openvino on a CPU)", rich_help_panel=MACHINE),
]


Every = Annotated[int | None, typer.Option("--every", min=1, metavar="N", help="Take every N-th frame instead.")]
Stage = Annotated[
    str | None,
    typer.Option(
        "--stage",
        help="Layer to take features from (default: the last); with --model: states (default) or probabilities of the "
        "classes.",
    ),
]
Size = Annotated[
    int | None, typer.Option("--size", min=32, metavar="N", help="Image size in pixels. (default: as published)")
]
Letterbox = Annotated[
    bool, typer.Option("--letterbox", help="Make frames square with black bars instead of stretching them.")
]
AtLeast = Annotated[
    int, typer.Option("--at-least", min=1, help="Use only classes with at least N videos.", rich_help_panel=DATA)
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, metavar="N", help="Threads per process.", rich_help_panel=MACHINE)
]
Batch = Annotated[
    int, typer.Option("--batch", min=1, help="Frames per batch (c3d, i3d: windows).", rich_help_panel=MACHINE)
]


def features(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Data folder or video.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the features.")],
    backbone: BackboneName = "resnet50",
    model: ModelOption = None,
    weights: WeightsOption = None,
    frames: FramesOption = None,
    every: Every = None,
    stage: Stage = None,
    maps: Annotated[bool, typer.Option("--maps", help="Keep the feature maps, not their mean over the image.")] = False,
    size: Size = None,
    letterbox: Letterbox = False,
    most_frequent: MostFrequent = None,
    at_least: AtLeast = 1,
    layout: FormatOption = None,
    engine: FeatureEngine = None,
    device: DeviceOption = "auto",
    devices: DevicesOption = 1,
    nodes: NodesOption = 1,
    threads: ThreadsOption = None,
    batch: Batch = 32,
    renew: RenewOption = False,
    cluster: ClusterOption = None,
    json: JsonFlag = False,
) -> None:
    """Compute features of videos once, with a pretrained network.

    Training on them is fast, as the network (the backbone) does not run again. With --backbone skeleton, the joints of
    4 frames (--every) make one vector. A captions.csv is copied along. If you stop it, the same command continues.

    Examples:
      gesta features my_videos --out features
      gesta train features
    """
    need("train", "torch", "lightning")
    existing(data, "data folder")
    if model is not None or backbone == SKELETON:
        others = {"--weights": weights, "--frames": frames, "--size": size}
        others |= {"--maps": maps or None, "--letterbox": letterbox or None}
        _told(_encoded(data, out, (model, every, stage), layout, others, (engine, device), cluster), data, json)
        return
    _one_of(frames, every, "--frames and --every exclude each other. Give one of them.")
    if devices * nodes > 1:
        _one_of(cluster, devices, "--devices and --nodes exclude --cluster. Give either of them, or --cluster.")
    from gesta.sources.catalog import read
    from gesta.tasks.feature_store import FeatureRecipe
    from gesta.tasks.features.backbones import describe, extractor
    from gesta.tasks.features.extract import Settings
    from gesta.tasks.features.extraction import Machines, run

    listing = read(data, _with_classes(layout, most_frequent, at_least))
    ready = extractor(backbone, weights, stage=stage, pooled=not maps, size=size)
    count = 20 * ready.window if frames is None and every is None else frames
    recipe = FeatureRecipe(**describe(ready), frames=count, every=every, letterbox=letterbox)
    machines = Machines(device, devices, nodes, threads, engine)
    how: dict[str, Any] = {"machines": machines, "settings": Settings(batch=batch, renew=renew)}
    with jobs_in(out, cluster, "features"), progress(f"features of {len(listing.samples)} videos") as tick:
        summary = run(listing, out, ready, recipe, source=_source(weights), progress=tick, **how)
    if summary is not None:
        _told(summary.to_json(), data, json, (*listing.problems[:SHOWN_SKIPPED], *summary.notes))


def _with_classes(layout: str | None, most_frequent: int | None, at_least: int) -> str | None:
    """The layout with which classes are to be read."""
    return layout if most_frequent is None and at_least == 1 else f"{layout or ''}+{most_frequent or 'all'}x{at_least}"


def _one_of(first: Any, second: Any, message: str) -> None:
    """Raises GestaError (usage) where both are given."""
    if first is not None and second is not None:
        raise GestaError(message, usage=True)


def _told(document: dict[str, Any], data: Path, json: bool, problems: tuple[Any, ...] = ()) -> None:
    """What came out; captions of the data go with it."""
    captions = data / CAPTIONS
    if captions.is_file():
        write_whole(Path(document["out"]) / CAPTIONS, captions.read_bytes())
    for problem in problems:
        console.print(str(problem), markup=False, highlight=False, soft_wrap=True)
    emit(document, _text(document), json)
    if not document["videos"]:
        raise GestaError(f"{data}: no video could be used. Check them: gesta data inspect {data}")


def _encoded(
    data: Path,
    out: Path,
    encoder: tuple[str | None, int | None, str | None],
    layout: str | None,
    others: dict[str, Any],
    at: tuple[str | None, str],
    cluster: str | None,
) -> dict[str, Any]:
    """What came out: vectors by a skeleton or a model. `encoder`: (model, every, stage).

    Raises GestaError (usage) for options of backbones.
    """
    from gesta.engines.base import Placement
    from gesta.sources.catalog import read
    from gesta.tasks.encoders import model_encoder, skeleton_encoder
    from gesta.tasks.features.encode import encode_all

    model, every, stage = encoder
    target, own = ("--backbone skeleton", {"--stage": stage}) if model is None else ("--model", {"--every": every})
    if given := [name for name, value in {**others, **own}.items() if value is not None]:
        raise GestaError(
            f"{', '.join(given)} cannot be used with {target}. Leave out {' and '.join(given)}.", usage=True
        )
    recipe, encode = skeleton_encoder(every) if model is None else model_encoder(model, Placement(*at), stage)
    listing = read(data, layout)
    with jobs_in(out, cluster, "features"), progress(f"features of {len(listing.samples)} recordings") as tick:
        made = encode_all(listing, out, recipe, encode, tick, model=model, every=every, stage=stage, at=Placement(*at))
    document: dict[str, Any] = made.to_json()
    return document


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
            f"speed     {document['features_per_s']:.1f} features per second with {document['engine']}, "
            f"{document['of_network_rate']:.0%} of the time in the network ({os.cpu_count()} cores)"
        )
    lines += skipped(document["skipped"])
    return Text("\n".join(lines))
