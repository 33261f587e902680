"""Catalog of comparisons of action recognizers on the user's recordings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LeaveOutRow:
    """A recipe for clips with overrides, and further ones among which each fold chooses. `classifier`: a recipe for
    stored features; `recipe` is then for the network that computes them."""

    label: str
    recipe: str
    overrides: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    classifier: str | None = None


@dataclass(frozen=True)
class LeaveOutTable:
    title: str
    source: str
    rows: tuple[LeaveOutRow, ...]


ST = "iqbal/st-resnet-small"
RATES = ("input.max_fps=15", "input.max_fps=30")
_SHORT = ("input.window=16", "training.epochs=40")
_GRAY = ("input.channels=[gray]", *_SHORT)
_FRAMES = (*_GRAY, "model.context=1")


def _classified(label: str, classifier: str) -> LeaveOutRow:
    return LeaveOutRow(label, ST, _FRAMES, classifier=classifier)


LEAVE_OUT_TABLES = {
    "gesta/actions": LeaveOutTable(
        "action recognizers on --data, leaving one person out at a time",
        "-",
        (
            LeaveOutRow("frames alone (ST-ResNet-18, context 1)", ST, _FRAMES, RATES),
            LeaveOutRow("ST-ResNet-18, context 2", ST, (*_GRAY, "model.context=2"), RATES),
            LeaveOutRow("ST-ResNet-18, context 3", ST, (*_GRAY, "model.context=3"), RATES),
            _classified("mean of frame features, linear", "iqbal/mean-znorm"),
            _classified("GRU over frame features", "iqbal/gru-znorm"),
            LeaveOutRow("C3D, small", "c3d-small", (*_GRAY, "model.width=0.125"), RATES),
            LeaveOutRow(
                "two streams: frames, and flow of five",
                ST,
                ("input.channels=[gray, flow]", *_SHORT, "model.context=1", "model.stack=5"),
                ("model.fusion=score", "model.fusion=feature"),
            ),
            LeaveOutRow("auto (3D-CNN + LSTM)", "auto", (), RATES),
        ),
    ),
}
"""ST-ResNets are a quarter as wide as the document's and trained from scratch. Frame features are those of the first
row's network, trained on the same training part. With 40 epochs and 16 frames, a quarter of the recipes' computation,
the table takes hours instead of a day; auto is unchanged."""
