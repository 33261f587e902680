"""Catalog of the documents' tables about actions and signs (Iqbal, chapters 4 and 5; sprint report 2018)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

Quantity = Literal["error", "accuracy"]
Features = Literal["image", "fine-tuned"]


@dataclass(frozen=True)
class ActionRow:
    """One row: a recipe with overrides, and the reported values: error or accuracy as a share, loss.

    Rows without `recipe` are results published by others. `quick`: overrides at the quick scale only; `every`: use
    every n-th frame; `splits`: UCF-101 splits, averaged if several; `features`: the backbone for recipes on stored
    features; `start`: the row whose network, trained on that row's data, this one starts from.
    """

    label: str
    reported: float | None = None
    recipe: str | None = None
    overrides: tuple[str, ...] = ()
    loss: float | None = None
    quick: tuple[str, ...] = ()
    every: int = 10
    splits: tuple[int, ...] = (1,)
    features: Features = "image"
    start: ActionRow | None = None
    cost: float = 1.0


@dataclass(frozen=True)
class ActionTable:
    """`data`: the layout. `measure`: the quantity reported. `figure`: whether to plot accuracy and loss of every row.

    `quick_backbone`: replaces the quick scale's backbone. `letterbox`: frames are letterboxed for stored features, as
    they are for fine-tuning, instead of stretched.
    """

    title: str
    source: str
    data: Literal["ucf101", "isogd", "ledasila"]
    rows: tuple[ActionRow, ...]
    measure: Quantity = "error"
    figure: bool = False
    quick_backbone: tuple[str, int] | None = None
    letterbox: bool = False


@dataclass(frozen=True)
class ActionScale:
    """`videos`: numbers of generated `people`, `recordings` and `classes` in each layout. `clips`, `sequences`: recipe
    overrides; `backbone`: network and image size in pixels for stored features (None: the recipe's own); `frames`:
    length of the longest clip before taking every n-th frame; `kept`: (number of signs, minimum videos of each);
    `minutes`, `video_minutes`: for a training of cost 1 and for generating a video, on one core; `seeds`.
    """

    videos: dict[str, dict[str, int]]
    clips: tuple[str, ...]
    sequences: tuple[str, ...]
    fine_tuning: tuple[str, ...]
    backbone: tuple[str, int] | None
    frames: int
    kept: tuple[int, int]
    minutes: float
    video_minutes: float
    seeds: int


_THESIS, _SPRINT = "Iqbal, chapter 5", "sprint report 2018"
ST = "iqbal/st-resnet"
MAIN = ActionRow("98-104, identity, Adam after 1 %", 0.197, ST)
SEQUENCE_COST = 0.1


def _st(label: str, reported: float | None, *overrides: str, cost: float = 1.0, **more: Any) -> ActionRow:
    return replace(MAIN, label=label, reported=reported, overrides=overrides, cost=cost, **more)


def _frames(block: int, way: str, normalized: float, plain: float, features: Features) -> tuple[ActionRow, ...]:
    """Returns two rows for a row of tables 5.1 and 5.2, with errors in printed order: with and without z-normalization.

    block2 is layer2, and so on.
    """
    label = f"block{block}, {way}" + (", fine-tuned" if features == "fine-tuned" else "")
    stage = (f"features.stage=layer{block}",)
    recipe = {"mean": "iqbal/mean", "GRU": "iqbal/gru"}[way]
    row = ActionRow(label, plain, recipe, stage, features=features, cost=SEQUENCE_COST)
    return replace(row, label=f"{label}, z-normalized", reported=normalized, recipe=f"{recipe}-znorm"), row


def _published(name: str, *errors: tuple[str, float]) -> tuple[ActionRow, ...]:
    return tuple(ActionRow(f"{name}, {part}", error) for part, error in errors)


_CHANGES = ("model.changes=true",)
_ISOGD = ActionRow(
    "2 LSTM, 1 linear layer",
    0.74,
    "inception-lstm-isogd",
    loss=0.806,
    cost=SEQUENCE_COST,
    overrides=("model.layers=2",),
    quick=_CHANGES,
)
_FEW_STEPS = (*_CHANGES, "training.learning_rate=0.001")
_LEDASILA = ActionRow(
    "1 LSTM, 2 linear layers", 0.47, "inception-lstm-ledasila", loss=2.597, cost=SEQUENCE_COST, quick=_FEW_STEPS
)
_MOVED = replace(_ISOGD, label="IsoGD -> LedaSila", start=_ISOGD, cost=2 * SEQUENCE_COST, quick=_FEW_STEPS)
_SLOW = ("training.learning_rate=0.0001",)


def _tried(change: str, *overrides: str, network: tuple[str, ...] = ("model.layers=2",)) -> ActionRow:
    """Returns a row for a transfer variant the report mentions without numbers. `network`: for both vocabularies."""
    start = replace(_ISOGD, label=f"{_ISOGD.label}, {change}", overrides=network)
    quick = _CHANGES if any("learning_rate" in o for o in overrides) else _FEW_STEPS
    return replace(
        _MOVED,
        label=f"from IsoGD, fine-tuned, {change}",
        reported=None,
        loss=None,
        overrides=(*network, *_SLOW, *overrides),
        start=start,
        quick=quick,
    )


_HALF = ("training.accumulate=0.5",)
"""At the quick scale, a batch is 17 % of the clips, so updating after 10 % would be the same as after 1 %."""

ACTION_TABLES: dict[str, ActionTable] = {
    "iqbal/table-5.1": ActionTable(
        "frame features of an image network, mean or GRU, with and without z-normalization",
        f"{_THESIS}, table 5.1",
        "ucf101",
        (
            *_frames(4, "mean", 0.236, 0.237, "image"),
            *_frames(4, "GRU", 0.239, 0.276, "image"),
            *_frames(3, "mean", 0.309, 0.313, "image"),
            *_frames(3, "GRU", 0.403, 0.325, "image"),
            *_frames(2, "mean", 0.431, 0.434, "image"),
            *_frames(2, "GRU", 0.440, 0.493, "image"),
        ),
    ),
    "iqbal/table-5.2": ActionTable(
        "frame features as in table 5.1, and a network fine-tuned on single frames",
        f"{_THESIS}, table 5.2",
        "ucf101",
        (
            *_frames(4, "mean", 0.236, 0.237, "image"),
            *_frames(4, "mean", 0.260, 0.255, "fine-tuned"),
            *_frames(3, "mean", 0.309, 0.313, "image"),
            *_frames(3, "mean", 0.389, 0.410, "fine-tuned"),
        ),
        letterbox=True,
        quick_backbone=("resnet18", 64),  # can be fine-tuned by a spatio-temporal ResNet; random weights
    ),
    "iqbal/table-5.3": ActionTable(
        "optimizer and share of the data before an update",
        f"{_THESIS}, table 5.3",
        "ucf101",
        (
            replace(MAIN, label="98-104, identity, Adam after 1 % (quick: 17 %)"),
            _st("98-104, identity, Adam after 10 % (quick: 50 %)", 0.233, "training.accumulate=0.1", quick=_HALF),
            _st(
                "98-104, identity, RPROP after 10 % (quick: 50 %)",
                0.222,
                "training.accumulate=0.1",
                "training.optimizer=rprop",
                quick=_HALF,
            ),
        ),
    ),
    "iqbal/table-5.4": ActionTable(
        "positions that the connection joins",
        f"{_THESIS}, table 5.4",
        "ucf101",
        (
            _st("5-11, convolution", 0.265, "model.context=5-11", "model.kind=linear"),
            _st("49-55, convolution", 0.234, "model.context=49-55", "model.kind=linear"),
            _st("86-92, convolution", 0.231, "model.context=86-92", "model.kind=linear"),
            replace(MAIN, label="98-104, identity"),
        ),
    ),
    "iqbal/table-5.5": ActionTable(
        "kind of the connection 98-104",
        f"{_THESIS}, table 5.5",
        "ucf101",
        (
            replace(MAIN, label="identity"),
            _st("convolution, linear", 0.219, "model.kind=linear"),
            _st("convolution, non-linear", 0.210, "model.kind=nonlinear"),
        ),
    ),
    "iqbal/table-5.6": ActionTable(
        "every n-th frame (hours of training in the document: 161, 61, 35, 23)",
        f"{_THESIS}, table 5.6",
        "ucf101",
        (
            _st("every 2nd", 0.195, every=2, cost=4.6),
            _st("every 5th", 0.196, every=5, cost=1.8),
            _st("every 10th", 0.197, every=10),
            _st("every 15th", 0.213, every=15, cost=0.8),
        ),
    ),
    "iqbal/table-5.7": ActionTable(
        "number of context frames",
        f"{_THESIS}, table 5.7",
        "ucf101",
        (
            replace(MAIN, label="2"),
            _st("3", 0.194, "model.context=3"),
            _st("3, special", 0.205, "model.context=special3"),
            _st("5", 0.209, "model.context=5"),
        ),
    ),
    "iqbal/table-5.8": ActionTable(
        "the three splits of UCF-101",
        f"{_THESIS}, table 5.8",
        "ucf101",
        (
            replace(MAIN, label="split 1"),
            _st("split 2", 0.205, splits=(2,)),
            _st("split 3", 0.192, splits=(3,)),
            _st("mean of the three", 0.198, splits=(1, 2, 3), cost=3.0),
        ),
    ),
    "iqbal/table-5.9": ActionTable(
        "appearance, motion and both, with published results",
        f"{_THESIS}, table 5.9; the last three rows are the next step it names",
        "ucf101",
        (
            *_published("improved dense trajectories", ("fused", 0.141)),
            *_published("two-stream", ("appearance", 0.270), ("motion", 0.163), ("fused", 0.120)),
            *_published("GoogLeNet two-stream", ("appearance", 0.247), ("motion", 0.142), ("fused", 0.107)),
            *_published("VGG two-stream", ("appearance", 0.216), ("motion", 0.130), ("fused", 0.086)),
            *_published("spatiotemporal ResNets", ("appearance", 0.177), ("motion", 0.209), ("fused", 0.105)),
            _st("ours, appearance (mean of the three splits)", 0.198, splits=(1, 2, 3), cost=3.0),
            _st("ours, appearance (split 1)", 0.197),
            _st("ours, motion (split 1)", None, "input.channels=[flow]", "input.flow_stack=10"),
            *(
                _st(
                    f"ours, fused by {way} (split 1)",
                    None,
                    "input.channels=[rgb, flow]",
                    "input.flow_stack=10",
                    f"model.fusion={way}",
                    cost=2.5,
                )
                for way in ("score", "feature")
            ),
        ),
    ),
    "sprint/isogd": ActionTable(
        "LSTMs on 20 frame features per video",
        f"{_SPRINT}, IsoGD",
        "isogd",
        (
            _ISOGD,
            replace(_ISOGD, label="1 LSTM, 1 linear layer", reported=None, loss=None, overrides=("model.layers=1",)),
            replace(
                _ISOGD,
                label="1 LSTM, 2 linear layers",
                reported=None,
                loss=None,
                overrides=("model.layers=1", "model.dense=2"),
            ),
            replace(
                _ISOGD,
                label="2 LSTM, 1 linear layer (quick: features, not their changes)",
                reported=None,
                loss=None,
                quick=(),
            ),
        ),
        "accuracy",
        figure=True,
    ),
    "sprint/ledasila": ActionTable(
        "LSTMs on 20 frame features of the most frequent signs",
        f"{_SPRINT}, LedaSila",
        "ledasila",
        (
            _LEDASILA,
            replace(_ISOGD, label="2 LSTM, 1 linear layer", reported=None, loss=None),
        ),
        "accuracy",
        figure=True,
    ),
    "sprint/transfer": ActionTable(
        "transfer from IsoGD to LedaSila, with a new last layer",
        f"{_SPRINT}, transfer",
        "ledasila",
        (
            replace(_LEDASILA, label="LedaSila alone: 1 LSTM, 2 linear layers"),
            replace(
                _MOVED,
                label="from IsoGD, fine-tuned whole",
                reported=0.42,
                loss=1.992,
                overrides=("model.layers=2", *_SLOW),
            ),
            replace(
                _MOVED,
                label="from IsoGD, both LSTMs frozen",
                reported=0.32,
                loss=2.150,
                overrides=("model.layers=2", *_SLOW, "training.freeze=recurrent.0,recurrent.1"),
            ),
            _tried("first LSTM frozen", "training.freeze=recurrent.0"),
            *(_tried(f"dropout {share}", f"model.dropout={share}") for share in (0, 0.25)),
            *(_tried(f"learning rate {rate}", f"training.learning_rate={rate}") for rate in (0.001, 0.01)),
            _tried("2 linear layers", network=("model.layers=2", "model.dense=2")),
            _tried("1 LSTM", network=("model.layers=1",)),
            _tried("1 LSTM, 2 linear layers", network=("model.layers=1", "model.dense=2")),
        ),
        "accuracy",
        figure=True,
    ),
}

_QUICK_CLIPS = (
    "input.size=64",
    "model.width=0.25",
    "model.weights=null",
    "augmentation.shift_px=3",
    "training.epochs=40",
    "training.batch=8",  # with fewer clips, batch normalization fails from scratch
    "training.learning_rate=0.002",
)

ACTION_SCALES: dict[str, ActionScale] = {
    "quick": ActionScale(
        videos={
            "ucf101": {"people": 10, "recordings": 1, "classes": 8},
            "isogd": {"people": 20, "recordings": 2, "classes": 10},
            "ledasila": {"people": 20, "recordings": 4, "classes": 10},
        },
        clips=_QUICK_CLIPS,
        sequences=("model.hidden=64", "training.epochs=40", "training.batch=16"),
        fine_tuning=("model.width=1.0", "training.epochs=6"),
        backbone=("efficientnet_lite0", 224),
        frames=60,
        kept=(8, 8),
        minutes=1.0,
        video_minutes=0.03,
        seeds=1,
    ),
    "full": ActionScale(
        videos={
            "ucf101": {"people": 25, "recordings": 4, "classes": 101},
            "isogd": {"people": 21, "recordings": 7, "classes": 249},
            "ledasila": {"people": 20, "recordings": 3, "classes": 60},
        },
        clips=(),
        sequences=(),
        fine_tuning=(),
        backbone=None,
        frames=240,
        kept=(21, 18),
        minutes=2100.0,
        video_minutes=0.03,
        seeds=1,
    ),
}
"""Minutes are estimates at the quick scale, and the document's 35 hours at the full scale."""
