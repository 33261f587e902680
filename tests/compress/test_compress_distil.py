"""Distillation: losses against slow loops, what teacher and student each see, and a student that learns from one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from calls import fit
from runtime.tiny_bundles import RGB, make_bundle
from torch import Tensor, nn
from training.learnable import MemoryStore, samples, tiny

from gesta.bundle import io as bundle_io
from gesta.clips.transform import Transform
from gesta.recipes import RecipeError
from gesta.schema import GestaError, Sample
from gesta.tasks.catalog import load_recipe
from gesta.tasks.clips.distil import (
    Teacher,
    mean_softened,
    mixed,
    open_teacher,
    soft_loss,
    soft_targets,
    soften,
    teachers_of,
)
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.recipe import DistillationSettings
from gesta.tasks.clips.views import View, same_instants
from gesta.training.run import Fitted


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_softened_by_hand() -> None:
    """Odds of e^2 : 1 become e^(2 / T) : 1."""
    found = soften(torch.tensor([[2.0, 0.0]]), 4.0)[0, 0].item()
    assert found == pytest.approx(math.exp(0.5) / (math.exp(0.5) + 1), abs=1e-6)
    mean = mean_softened([torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])], 1.0)
    torch.testing.assert_close(mean, torch.tensor([[0.5, 0.5]]))


@pytest.mark.parametrize("loss", ["mse", "kl"])
@pytest.mark.parametrize("over", ["last", "second_half"])
def test_soft_loss_against_a_slow_loop(loss: str, over: str) -> None:
    torch.manual_seed(0)
    steps, soft, chunks, t = torch.randn(3, 4, 5), torch.randn(3, 5).softmax(1), torch.tensor([1, 3, 4]), 3.0
    total = 0.0
    for clip in range(3):
        count = int(chunks[clip])
        counted = [count - 1] if over == "last" else range(count // 2, count)
        parts = []
        for k in counted:
            z = steps[clip, k].tolist()
            divisor = 1.0 if loss == "mse" else t
            exponentials = [math.exp(value / divisor) for value in z]
            q = [value / sum(exponentials) for value in exponentials]
            p = soft[clip].tolist()
            if loss == "mse":
                parts.append(sum((a - b) ** 2 for a, b in zip(q, p, strict=True)) / 5)
            else:
                parts.append(t**2 * sum(b * (math.log(b) - math.log(a)) for a, b in zip(q, p, strict=True)))
        total += sum(parts) / len(parts)
    found = soft_loss(steps, soft, chunks, over, DistillationSettings(loss=loss, temperature=t))
    assert found.item() == pytest.approx(total / 3, rel=1e-4)


def test_losses_are_mixed_by_alpha() -> None:
    assert mixed(torch.tensor(2.0), torch.tensor(10.0), 0.25).item() == 8.0


@pytest.mark.parametrize("loss", ["mse", "kl"])
def test_a_student_that_says_what_the_teacher_says_has_no_loss(loss: str) -> None:
    settings = DistillationSettings(loss=loss, temperature=1.0 if loss == "mse" else 4.0)
    z = torch.randn(2, 1, 6)
    soft = soften(z[:, 0], settings.temperature)
    assert soft_loss(z, soft, torch.tensor([1, 1]), "last", settings).item() == pytest.approx(0, abs=1e-6)


CHUNKS = Transform(fps=10, **RGB)
CENTRAL = CHUNKS.model_copy(update={"sampling": "central", "window": 8})


def test_instants_by_hand() -> None:
    every = np.arange(12)
    assert same_instants(every[3:9], 12, CHUNKS, CHUNKS).tolist() == [3, 4, 5, 6, 7, 8]
    slower = CHUNKS.model_copy(update={"fps": 5})
    assert same_instants(every[4:9], 6, CHUNKS, slower).tolist() == [2, 3]  # 0.4 s and 0.6 s
    assert same_instants(np.array([2, 3]), 12, slower, CHUNKS).tolist() == [4, 5, 6, 7]
    assert same_instants(every[::2], 12, CHUNKS, CHUNKS).tolist() == [0, 2, 4, 6, 8, 10]  # at double speed
    assert same_instants(np.arange(8), 12, CENTRAL, CHUNKS).tolist() == [2, 3, 4, 5, 6, 7, 8, 9]
    assert same_instants(np.arange(8), 5, CENTRAL, CHUNKS).tolist() == [0, 1, 2, 3, 4]  # zeros behind are not instants


class Ramp:
    """Clips of 12 frames; frame i is all i."""

    def load(self, sample: Sample, transform: Transform):
        from gesta.schema import Clip

        frames = round(1.2 * transform.fps)
        values = np.arange(frames, dtype=np.uint8).reshape(-1, 1, 1, 1, 1)
        return Clip(np.broadcast_to(values, (frames, *transform.frame_shape)).copy(), sample.label)


@pytest.mark.parametrize(("chosen", "seen"), [(range(12), range(2, 10)), (range(3, 7), [3, 4, 5, 6, 0, 0, 0, 0])])
def test_a_teacher_of_a_central_window_sees_the_center_of_what_the_student_sees(chosen, seen) -> None:
    pixels = View(CENTRAL).pixels(samples(1)[0], np.array(chosen), CHUNKS, Ramp())
    assert pixels[:, 0, 0, 0, 0].tolist() == list(seen)


class Says(nn.Module):
    """A teacher that says the brightness of the first frame's corner as the logit of class 0."""

    def forward(self, clip, lengths=None):  # noqa: ARG002
        first = clip[:, 0, 0, 0, 0, 0].float()
        return torch.stack([first, torch.zeros_like(first), torch.full_like(first, -9.0)], dim=1)


def test_stored_answers_are_in_the_samples_order_and_the_students_labels() -> None:
    teacher = Teacher("t", Says(), ("c2", "c0", "c1"), CHUNKS.model_copy(update={"size": 16}))
    chosen, store = samples(20), MemoryStore()
    found = soft_targets([teacher], chosen, ("c0", "c1", "c2"), store, 1.0)
    for row, sample in zip(found, chosen, strict=True):
        corner = float(store.load(sample, teacher.transform).pixels[0, 0, 0, 0, 0])
        expected = torch.tensor([0.0, -9.0, corner]).softmax(0)  # c2 is the teacher's first class
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("c0", "c1"), "only the data have c2"),
        (("c0", "c1", "c2", "wave"), "only the teacher has wave"),
    ],
)
def test_other_classes_are_refused(labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(GestaError, match=f"does not know the classes.*{message}"):
        Teacher("t", Says(), labels, CHUNKS).order(("c0", "c1", "c2"))


def run(out: Path, *changes: str, name: str = "auto", **options) -> Fitted:
    recipe = tiny(name, "augmentation.context=0", *changes)
    options = {"layout": "memory", "device": "cpu", "progress": False, "cache": MemoryStore()} | options
    return fit(samples(), recipe, out, teachers=teachers_of(recipe), **options)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 3D-CNN over the central 16 frames, of other classes' order and size than its student's."""
    changes = ("input.window=16", "augmentation.window=null", "training.epochs=6", "input.size=32")
    return run(tmp_path_factory.mktemp("teacher"), *changes, name="mullick/cnn3d").bundle


@pytest.mark.integration
@pytest.mark.parametrize("changes", [("distillation.sees=same",), ("distillation.mode=soft_then_hard",)])
def test_a_student_over_chunks_learns_from_a_central_window(teacher: Path, tmp_path: Path, changes) -> None:
    result = run(tmp_path, f"teacher={teacher}", "distillation.soft_epochs=2", "training.epochs=6", *changes)
    manifest = bundle_io.read(result.bundle, ClipManifest).manifest
    assert manifest.metrics["teachers"] and manifest.transform.sampling == "chunks"
    assert manifest.recipe["distillation"]["teachers"] == [str(teacher)]
    assert result.metrics["train_accuracy"] > 0.6
    if "way" in changes[0]:
        assert len(list((tmp_path / "logs").glob("*.csv"))) == 2 and len(result.history) == 6
        assert result.metrics["teacher_train_accuracy"] > 0.5


@pytest.mark.integration
def test_of_drawn_views_the_teacher_sees_each_once(tmp_path: Path) -> None:
    class Counts(nn.Module):
        shown = 0

        def forward(self, clip: Tensor, _lengths: Tensor) -> Tensor:
            self.shown += len(clip)
            return torch.zeros(len(clip), 3)

    def shown(*changes: str) -> tuple[int, int]:
        network = Counts()
        recipe = tiny("auto", "augmentation.context=0", "teacher=x", "distillation.sees=same", *changes)
        teacher = Teacher("x", network, ("c0", "c1", "c2"), CHUNKS.model_copy(update={"size": 16}))
        result = fit(
            samples(), recipe, tmp_path, layout="memory", progress=False, cache=MemoryStore(), teachers=[teacher]
        )
        return network.shown, len(result.history)

    clips = sum(sample.split == "train" for sample in samples())
    assert shown("training.epochs=4") == (4 * clips, 4)
    assert shown("training.epochs=4", "distillation.views=2") == (2 * clips, 4)
    with pytest.raises(RecipeError, match=r"views is for distillation\.sees=same"):
        tiny("auto", "teacher=x", "distillation.views=2")


@pytest.mark.integration
def test_the_soft_loss_alone_teaches(teacher: Path, tmp_path: Path) -> None:
    """alpha = 1: no label is used, and the student comes to agree with its teacher."""
    changes = ("distillation.alpha=1", "distillation.loss=kl", "distillation.temperature=2", "training.epochs=8")
    result = run(tmp_path, f"teacher={teacher}", f"teacher={teacher}", *changes)
    assert result.metrics["train_accuracy"] > 0.6
    assert result.metrics["teachers"].count(",") == 1


@pytest.mark.integration
def test_resumed_distillation_ends_as_the_uninterrupted_one(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gesta.tasks.clips.data.HELD_BYTES", 0)
    changes = (f"teacher={teacher}", "distillation.mode=soft_then_hard", "distillation.soft_epochs=1")
    whole = run(tmp_path / "whole", *changes)
    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path / "broken", *changes, cache=MemoryStore(fail_after=24 + 30 + 40))
    resumed = run(tmp_path / "broken", *changes, resume=True)
    one, other = (bundle_io.load_weights(bundle_io.read(r.bundle, ClipManifest)) for r in (whole, resumed))
    assert all((one[k] == other[k]).all() for k in one)


def test_without_a_teacher_the_next_step_is_said(tmp_path: Path) -> None:
    with pytest.raises(GestaError, match="--set teacher=BUNDLE"):
        teachers_of(load_recipe("mullick/distil-small"))
    with pytest.raises(GestaError, match="--set teacher=BUNDLE"):
        fit(samples(), tiny("mullick/distil-small"), tmp_path, layout="memory", progress=False, cache=MemoryStore())


def test_a_teacher_of_other_classes_is_refused_before_training(tmp_path: Path) -> None:
    strange = make_bundle(tmp_path / "strange", "cnn3d_lstm")
    with pytest.raises(GestaError, match=r"strange: this teacher does not know.*only the data have c0"):
        run(tmp_path / "out", f"teacher={strange}")
    with pytest.raises(GestaError, match="no such bundle"):
        open_teacher(tmp_path / "nowhere")


def test_a_teacher_that_cannot_see_the_clips_is_named(teacher: Path, tmp_path: Path) -> None:
    class Lacking(MemoryStore):
        def fill(self, found, transform, progress=None):  # noqa: ARG002
            from gesta.schema import Problem

            return (Problem("a.avi", "modality", "has no skeleton."),) if transform.size == 32 else ()

    with pytest.raises(GestaError, match=r"this teacher cannot use every training clip.*has no skeleton"):
        run(tmp_path, f"teacher={teacher}", cache=Lacking())
