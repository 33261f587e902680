"""Losses, augmentation, batches, optimizers and the figure, each against something slow or worked by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from training.learnable import MemoryStore, samples

from gesta.clips.transform import Transform
from gesta.recipes.schema import TrainingSettings
from gesta.tasks.clips.augment import at_speed, choose_frames, draw_affine, generator, moves_pixels, warp
from gesta.tasks.clips.context import before
from gesta.tasks.clips.data import ClipSet
from gesta.tasks.clips.recipe import AugmentationSettings
from gesta.training.callbacks import Keeper, Show
from gesta.training.classify import BEST_BY, Classify
from gesta.training.data import EpochBatches, TrainingData
from gesta.training.figure import draw_history
from gesta.training.learner import LossNotFinite
from gesta.training.losses import chunk_weights, clip_loss
from gesta.training.optim import OPTIMIZERS, optimizer_for, schedule_for
from gesta.training.small_maps import small_maps_in_full

NOTHING = AugmentationSettings(rotation_deg=0, shift_px=0, zoom_in_px=0)


@pytest.mark.parametrize("over", ["last", "second_half", "all"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_against_a_slow_loop(over: str, smoothing: float) -> None:
    torch.manual_seed(0)
    steps, target, chunks = torch.randn(4, 6, 5), torch.tensor([0, 4, 2, 2]), torch.tensor([1, 2, 5, 6])
    total = 0.0
    for clip in range(4):
        count = int(chunks[clip])
        counted = {"last": [count - 1], "second_half": range(count // 2, count), "all": range(count)}[over]
        parts = []
        for k in counted:
            log_p = steps[clip, k].log_softmax(0)
            wanted = torch.full((5,), smoothing / 5)
            wanted[target[clip]] += 1 - smoothing
            parts.append(-(wanted * log_p).sum())
        total += float(sum(parts)) / len(parts)
    found = clip_loss(steps, target, chunks, over, smoothing)
    torch.testing.assert_close(found.item(), total / 4, rtol=1e-5, atol=1e-6)


def test_second_half_by_hand() -> None:
    found = chunk_weights(torch.tensor([1, 2, 3]), 4, "second_half").tolist()
    assert found == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0.5, 0.5, 0]]


def test_what_came_before_the_gesture_does_not_count() -> None:
    chunks, start = torch.tensor([4, 4, 2]), torch.tensor([0, 2, 5])
    second_half = chunk_weights(chunks, 4, "second_half", start).tolist()
    assert second_half == [[0, 0, 0.5, 0.5], [0, 0, 0, 1], [0, 1, 0, 0]]
    assert chunk_weights(chunks, 4, "all", start)[1].tolist() == [0, 0, 0.5, 0.5]


def validated(network: torch.nn.Module) -> dict[str, float]:
    task = Classify(network, TrainingSettings(epochs=1), steps=1, over="last")
    task.trainer = SimpleNamespace(world_size=1, current_epoch=0, datamodule=SimpleNamespace(held={"val": None}))
    task.validation_step({"clip": torch.zeros(1, 3), "lengths": torch.ones(1), "target": torch.tensor([1])}, 0)
    return task.epoch_row()


class _Says(torch.nn.Module):
    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor([logits])

    def forward(self, clip: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        return self.logits


def test_a_validation_loss_is_finite_or_stops_training() -> None:
    assert validated(_Says(0.0, float("-inf"))) == {"val_loss": pytest.approx(103.0), "val_accuracy": 0.0}
    with pytest.raises(LossNotFinite, match=r"became nan in epoch 1, validation.*learning rate"):
        validated(_Says(0.0, float("nan")))


def test_speed_by_hand() -> None:
    assert at_speed(6, 100).tolist() == [0, 1, 2, 3, 4, 5]
    assert at_speed(6, 200).tolist() == [0, 2, 4]
    assert at_speed(3, 50).tolist() == [0, 0, 1, 1, 2, 2]
    assert at_speed(1, 125).tolist() == [0]


@pytest.mark.parametrize("frames", [1, 5, 33, 80])
def test_chosen_frames_stay_inside_and_in_order(frames: int) -> None:
    settings = NOTHING.model_copy(update={"speed": (0.8, 1.25), "window": (32, 48)})
    lengths = set()
    for epoch in range(30):
        indices = choose_frames(frames, settings, generator(0, epoch, 7))
        assert indices.min() >= 0 and indices.max() < frames
        assert (np.diff(indices) >= 0).all() and np.diff(indices).max(initial=0) <= 2
        lengths.add(len(indices))
    assert max(lengths) <= 48 and min(lengths) >= min(32, int(frames / 1.25))


def test_the_ends_are_cut_off_by_a_random_share() -> None:
    settings = NOTHING.model_copy(update={"cut": 0.2})
    chosen = [choose_frames(50, settings, generator(0, epoch, 7)) for epoch in range(60)]
    assert all((np.diff(indices) == 1).all() for indices in chosen)
    firsts, lasts = {int(indices[0]) for indices in chosen}, {int(indices[-1]) for indices in chosen}
    assert (min(firsts), max(firsts), min(lasts), max(lasts)) == (0, 9, 40, 49)
    assert choose_frames(1, settings, generator(0, 0, 7)).tolist() == [0]


def test_draws_depend_on_seed_epoch_and_clip_only() -> None:
    settings = AugmentationSettings()
    draws = [
        draw_affine(64, settings, generator(*key)).tolist() for key in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))
    ]
    assert draws[0] == draw_affine(64, settings, generator(0, 0, 0)).tolist()
    assert len({str(d) for d in draws}) == 4


def test_nothing_to_move_moves_nothing() -> None:
    assert not moves_pixels(NOTHING) and moves_pixels(AugmentationSettings())
    clip = torch.randint(0, 255, (2, 2, 2, 4, 16, 16), dtype=torch.uint8)
    theta = torch.from_numpy(np.stack([draw_affine(16, NOTHING, generator(0, 0, i)) for i in range(2)]))
    torch.testing.assert_close(warp(clip, theta), clip.float(), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("theta", "where"),
    [
        ([[1, 0, 2 * 2 / 16], [0, 1, 0]], (5, 3)),  # looks 2 px further right: the dot moves left
        ([[1, 0, 0], [0, 1, 2 * 2 / 16]], (3, 5)),
        ([[-1, 0, 0], [0, 1, 0]], (5, 10)),  # mirrored
        ([[0, 1, 0], [-1, 0, 0]], (5, 5)),  # a quarter turn: u_in = v, v_in = -u
    ],
)
def test_warp_moves_a_dot(theta: list[list[float]], where: tuple[int, int]) -> None:
    clip = torch.zeros(1, 2, 1, 4, 16, 16, dtype=torch.uint8)
    clip[..., 5, 5] = 200
    if theta[0][0] == 0:
        clip.zero_()
        clip[..., 10, 5] = 200  # v = 10, u = 5 -> out at v_in = -u: u = 5 of the other side, u_in = v: v = 5
    moved = warp(clip, torch.tensor([theta], dtype=torch.float32))
    assert (moved[..., where[0], where[1]] > 199).all()
    assert moved.sum() < 1.01 * 200 * 8


def test_zoom_in_is_in_pixels() -> None:
    settings = AugmentationSettings(rotation_deg=0, shift_px=0, zoom_in_px=6)
    zooms = [draw_affine(64, settings, generator(0, 0, i))[0, 0] for i in range(200)]
    assert 58 / 64 <= min(zooms) < 59 / 64 and 63 / 64 < max(zooms) <= 1


def test_rotation_and_shift_stay_in_range() -> None:
    settings = AugmentationSettings(rotation_deg=4, shift_px=5, zoom_in_px=0)
    maps = np.stack([draw_affine(64, settings, generator(0, 0, i)) for i in range(200)])
    angles, shifts = np.rad2deg(np.arctan2(maps[:, 1, 0], maps[:, 0, 0])), maps[:, :, 2] * 32
    assert 3.8 < np.abs(angles).max() <= 4 and 4.8 < np.abs(shifts).max() <= 5


def clip_set(count: int = 13, **transform: object) -> ClipSet:
    settings = {"fps": 20, "size": 16, "streams": ("body",)} | transform
    return ClipSet(samples(count), ("c0", "c1", "c2"), Transform(**settings), MemoryStore())


@pytest.mark.parametrize("world", [1, 2, 3])
def test_batches_show_every_clip_once_in_another_order_each_epoch(world: int) -> None:
    clips = clip_set()
    orders = []
    for epoch in (0, 1):
        ranks = [EpochBatches(clips, 4, shuffle=True, seed=5, rank=rank, world=world) for rank in range(world)]
        for batches in ranks:
            batches.set_epoch(epoch)
        listed = [list(batches) for batches in ranks]
        assert len({len(found) for found in listed}) == 1 and len(listed[0]) == len(ranks[0])
        sizes = [len(batch) for found in listed for batch in found]
        assert max(sizes) - min(sizes) <= 1 and max(sizes) <= 4
        shown = [index for found in listed for batch in found for index in batch]
        assert set(shown) == set(range(13)) and len(shown) - 13 < world
        orders.append(shown)
    assert orders[0] != orders[1]


def test_batches_without_shuffling_split_the_clips_between_processes() -> None:
    shown = [i for rank in (0, 1) for batch in EpochBatches(clip_set(), 4, False, rank=rank, world=2) for i in batch]
    assert sorted(shown) == list(range(13))


@pytest.mark.parametrize(("val", "batch"), [(1, 8), (3, 1), (4, 1), (5, 2)])
def test_every_process_has_as_many_validation_batches_and_none_is_empty(val: int, batch: int) -> None:
    shown = []
    for rank in (0, 1):
        data = TrainingData(clip_set(), clip_set(val), batch, seed=0)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=2)
        (held,) = data.val_dataloader()
        shown.append([found["target"].tolist() for found in held])
    assert len(shown[0]) == len(shown[1]) and all(targets for rank in shown for targets in rank)
    counts = Counter(target for rank in shown for targets in rank for target in targets)
    whole = Counter(i % 3 for i in range(val))
    assert counts in (whole, whole + whole)


def test_a_batch_holds_its_clips() -> None:
    clips = clip_set()
    batch = clips.collate([clips[i] for i in (3, 4)])
    first = clips.store.load(clips.samples[3], clips.transform).pixels
    assert batch["lengths"][0] == len(first) and batch["clip"].shape[3] % 4 == 0
    found = batch["clip"][0, :, :, : len(first)].permute(2, 0, 3, 4, 1).numpy()
    assert (found == first).all() and (batch["clip"][0, :, :, len(first) :] == 0).all()
    assert batch["target"].tolist() == [0, 1] and "theta" not in batch


def test_what_came_before_leaves_other_parts_out() -> None:
    spans = [("train", 10, 19), ("val", 30, 39), ("train", 50, 59), ("train", 70, 79)]
    recording = samples(1)[0]
    found = before(
        [
            replace(recording, id=f"g{i}", split=split, first_frame=first, last_frame=last)
            for i, (split, first, last) in enumerate(spans)
        ]
    )
    seen = {name: [(s.first_frame, s.last_frame) for s in parts] for name, parts in found.items()}
    assert seen == {"g0": [(0, 9)], "g2": [(40, 49)], "g3": [(50, 59), (60, 69)]}


def test_a_clip_begins_with_the_end_of_what_came_before() -> None:
    clips = clip_set()
    clips.augmentation = NOTHING.model_copy(update={"context": 1.0, "context_frames": 6})
    neighbor, clip = clips.samples[3], clips.samples[4]
    clips.before = {clip.id: (neighbor,)}
    starts = set()
    for epoch in range(20):
        clips.epoch = epoch
        item = clips[4]
        earlier = clips.store.load(neighbor, clips.transform).pixels
        assert (item.pixels[: item.start] == earlier[len(earlier) - item.start :]).all()
        assert clips.collate([clips[3], item])["start"].tolist() == [0, item.start]
        starts.add(item.start)
    assert starts == set(range(1, 7))


def test_central_window_keeps_its_length_at_any_speed() -> None:
    clips = clip_set(sampling="central", window=16)
    clips.augmentation = NOTHING.model_copy(update={"speed": (0.5, 2.0)})
    assert {len(clips[i][0]) for i in range(13)} == {16}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_take_the_recipes_numbers(name: str) -> None:
    settings = TrainingSettings(epochs=1, optimizer=name, learning_rate=0.1, weight_decay=0.5)
    weight, fixed = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1), requires_grad=False)
    optimizer = optimizer_for([weight, fixed], settings)
    weight.grad = torch.zeros(1)
    optimizer.step()
    # adam scales its L2 term to 1, rprop has none
    expected = {"sgd": 1 - 0.1 * 0.5, "adam": 1 - 0.1, "adamw": 1 - 0.1 * 0.5, "rprop": 1.0}[name]
    torch.testing.assert_close(weight.item(), expected, rtol=1e-4, atol=1e-4)
    assert fixed.item() == 1


def test_one_cycle_leaves_the_momentum_of_sgd() -> None:
    settings = TrainingSettings(epochs=1, schedule="one_cycle", learning_rate=0.1, optimizer="sgd", momentum=0.8)
    optimizer = optimizer_for(torch.nn.Linear(2, 2).parameters(), settings)
    schedule = schedule_for(optimizer, settings, 10)
    assert schedule is not None
    for _ in range(9):
        assert optimizer.param_groups[0]["momentum"] == 0.8
        optimizer.step()
        schedule.step()


def test_one_cycle_rises_and_falls() -> None:
    settings = TrainingSettings(epochs=1, schedule="one_cycle", learning_rate=0.1)
    optimizer = optimizer_for([torch.nn.Parameter(torch.ones(1))], settings)
    schedule = schedule_for(optimizer, settings, 100)
    rates = []
    for _ in range(100):
        optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step() if len(rates) < 100 else None
    assert max(rates) == pytest.approx(0.1) and 20 < int(np.argmax(rates)) < 40 and rates[-1] < 1e-4


def test_best_epoch_is_by_accuracy_then_loss(tmp_path) -> None:
    keeper = Keeper(tmp_path, "training", {}, None, BEST_BY)
    pairs = [(0.5, 1.0), (0.8, 0.9), (0.8, 0.7), (0.7, 0.1)]
    keeper.history = [{"val_accuracy": accuracy, "val_loss": loss} for accuracy, loss in pairs]
    assert keeper.best_epoch == 2


def test_figure_names_best_and_lowest(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    titles = []
    monkeypatch.setattr(Axes, "set_title", lambda _, text: titles.append(text))
    rows = [
        {"epoch": e, "train_loss": 2 / e, "train_accuracy": 0.3 * e, "val_loss": 1 + e, "val_accuracy": 0.9 - 0.1 * e}
        for e in (1, 2, 3)
    ]
    draw_history(rows, tmp_path / "history.png", "auto")
    assert titles == ["best accuracy 0.800 (validation)", "lowest loss 2.000 (validation)"]


def test_label_smoothing_is_pytorchs() -> None:
    logits, target = torch.randn(3, 1, 4), torch.tensor([0, 1, 2])
    expected = F.cross_entropy(logits[:, 0], target, label_smoothing=0.1)
    torch.testing.assert_close(clip_loss(logits, target, torch.ones(3, dtype=torch.long), "last", 0.1), expected)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_in_bf16_the_gradient_of_weights_larger_than_their_maps_is_that_of_32_bits(dimensions: int) -> None:
    torch.manual_seed(0)
    kind, size = ((nn.Conv2d, (3, 1)), (nn.Conv3d, (2, 4, 4)))[dimensions - 2]
    convolution = kind(16, 16, 3, (1, 2, 2)[-dimensions:], padding=1)
    maps, signs = torch.randn(8, 16, *size), torch.randn(1)

    def gradient(enabled: bool) -> torch.Tensor:
        torch.full((1_000_000,), torch.nan)  # what is not set shows
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            return torch.autograd.grad((convolution(maps).float() * signs).sum(), convolution.weight)[0]

    exact = gradient(enabled=False)
    with small_maps_in_full(convolution):
        assert torch.allclose(gradient(enabled=True), exact, rtol=0.01, atol=0.01)
    assert "forward" not in vars(convolution)


def test_in_bf16_large_maps_stay_in_bf16() -> None:
    convolution = nn.Conv3d(2, 2, 3, padding=1)
    with small_maps_in_full(convolution), torch.autocast("cpu", torch.bfloat16):
        assert convolution(torch.zeros(1, 2, 8, 8, 8)).dtype == torch.bfloat16
        assert convolution(torch.zeros(1, 2, 2, 8, 8)).dtype == torch.float32


def test_an_epochs_line_stays_whole_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    losses = dict.fromkeys(("train_loss", "train_accuracy", "val_loss", "val_accuracy"), 0.5)
    keeper = SimpleNamespace(history=[{"epoch": 1, "seconds": 2.0, **losses}])
    show = Show(keeper, 30, 5, "somebody/a-recipe-with-a-long-name")
    learner = Classify(torch.nn.Linear(1, 1), None, steps=1)
    show.on_train_epoch_end(None, learner)
    assert capsys.readouterr().err.splitlines() == [
        "somebody/a-recipe-with-a-long-name 1/30  loss 0.500  acc 0.500  val loss 0.500  val acc 0.500  58 s left"
    ]
