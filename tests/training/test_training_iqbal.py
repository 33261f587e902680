"""What Iqbal's training asks for: every sequence an example, and RPROP by the document's rule."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gesta.models.catalog import build
from gesta.recipes import RecipeError
from gesta.recipes.schema import TrainingSettings
from gesta.tasks.catalog import load_recipe
from gesta.tasks.clips.distil import soft_loss
from gesta.tasks.clips.module import ClassifyClips
from gesta.tasks.clips.recipe import DistillationSettings
from gesta.training.losses import sequence_loss
from gesta.training.optim import optimizer_for
from gesta.training.rprop import Rprop


def network(**settings) -> nn.Module:
    torch.manual_seed(0)
    given = {"classes": 3, "streams": 1, "channels": 3, "width": 1 / 16, "window": 6, "context": "2"}
    return build("st_resnet18", **{**given, **settings}).eval()


def batch(channels: int = 3) -> dict[str, torch.Tensor]:
    """Two clips of six frames, of which the second ends after four."""
    clip = torch.randint(1, 256, (2, 1, channels, 6, 32, 32), dtype=torch.uint8)
    clip[1, :, :, 4:] = 0
    return {"clip": clip, "lengths": torch.tensor([6, 4]), "target": torch.tensor([2, 0]), "start": torch.zeros(2)}


def learn(net: nn.Module, data: dict[str, torch.Tensor], **settings) -> tuple[torch.Tensor, dict[str, float]]:
    task = ClassifyClips(net, TrainingSettings(epochs=1, **settings), steps=1, over="sequences")
    loss = task.training_step(data, 0)
    sums = task.sums["train"].tolist()
    return loss, {"loss": sums[0] / sums[2], "right": sums[1]}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_against_a_slow_loop(smoothing: float) -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(3, 4, 5), torch.tensor([1, 4, 0])
    counted = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]]).bool()
    parts = [
        F.cross_entropy(logits[i, j], target[i], label_smoothing=smoothing)
        for i in range(3)
        for j in range(4)
        if counted[i, j]
    ]
    torch.testing.assert_close(sequence_loss(logits, target, counted, smoothing), sum(parts) / 7)


def test_sequences_are_examples_of_their_own() -> None:
    net, data = network(), batch()
    loss, told = learn(net, data)
    ends = [(0, 0), (0, 2), (0, 4), (1, 0), (1, 2)]  # clip, first frame; the second clip's third sequence is none
    single = [net.forward_windows(data["clip"][[i], :, :, f : f + 2])[0][:, 0] for i, f in ends]
    each = [F.cross_entropy(logits, data["target"][[i]]) for logits, (i, _) in zip(single, ends, strict=True)]
    torch.testing.assert_close(loss, sum(each) / 5)
    right = (net(data["clip"]).argmax(1) == data["target"]).sum().item()  # of the mean of a clip's probabilities
    assert told == {"loss": pytest.approx(loss.item()), "right": right}
    by_clip = F.cross_entropy(net(data["clip"]), data["target"])
    assert abs(loss - by_clip) > 1e-3


@pytest.mark.parametrize("fusion", ["score", "feature"])
def test_two_streams_are_fused_sequence_by_sequence(fusion: str) -> None:
    net, data = network(channels=5, stack=2, fusion=fusion), batch(5)
    logits, counted = net.forward_windows(data["clip"])
    assert logits.shape == (2, 3, 3) and counted.tolist() == [[True] * 3, [True, True, False]]
    looks, flow = data["clip"][:, :, :3], data["clip"][:, :, 3:]
    one, other = net.appearance.forward_windows(looks)[0], net.motion.forward_windows(flow)[0]
    expected = one.softmax(-1) / 2 + other.softmax(-1) / 2 if fusion == "score" else (one + other).softmax(-1)
    torch.testing.assert_close(logits.softmax(-1), expected)
    learn(net, data)[0].backward()
    assert all(p.grad is not None for p in net.parameters())


def test_stacks_have_sequences_too() -> None:
    net, data = network(channels=2, stack=3), batch(2)
    assert net.forward_windows(data["clip"])[0].shape == (2, 3, 3)


def test_the_documents_recipe_trains_so_and_others_cannot() -> None:
    assert load_recipe("iqbal/st-resnet").training.loss_over == "sequences"
    assert load_recipe("iqbal/st-resnet-small").training.loss_over == "last"
    with pytest.raises(RecipeError, match="loss_over=sequences is for st_resnet18, st_resnet50, not for cnn3d_lstm"):
        load_recipe("auto", ["training.loss_over=sequences"])


def test_a_teachers_answer_is_compared_with_the_clips_mean() -> None:
    net, data = network(), batch()
    settings = DistillationSettings(teachers=("t",), alpha=0.25, loss="mse")
    taught = torch.tensor([[0.2, 0.3, 0.5], [0.8, 0.1, 0.1]])
    distillation = SimpleNamespace(settings=settings, soft=lambda _: taught)
    task = ClassifyClips(net, TrainingSettings(epochs=1), steps=1, over="sequences", distillation=distillation)
    hard, _ = learn(net, data)
    soft = soft_loss(net(data["clip"]).unsqueeze(1), taught, torch.ones(2).long(), "last", settings)
    torch.testing.assert_close(task.training_step(data, 0), 0.25 * soft + 0.75 * hard)
    assert soft > 1e-3


class TestRprop:
    def test_by_hand(self) -> None:
        """Step 1; the same sign: 1.2; a change: 0.6, taken; a change again: 0.3, taken; none: nothing moves."""
        weight = nn.Parameter(torch.zeros(()))
        optimizer = Rprop([weight], lr=1.0)
        places = []
        for slope in (2.0, 0.1, -3.0, 5.0, 0.0, 1.0):
            weight.grad = torch.tensor(slope)
            optimizer.step()
            places.append(weight.item())
        assert places == pytest.approx([-1.0, -2.2, -1.6, -1.9, -1.9, -2.2])

    def test_limits(self) -> None:
        weight = nn.Parameter(torch.zeros(()))
        optimizer = Rprop([weight], lr=1.0, sizes=(0.9, 1.1))
        for slope in (1.0, 1.0, -1.0, 1.0):
            weight.grad = torch.tensor(slope)
            optimizer.step()
        assert weight.item() == pytest.approx(-1.0 - 1.1 + 0.9 - 0.9)

    def test_it_is_the_recipes(self) -> None:
        layer = nn.Linear(3, 2)
        optimizer = optimizer_for(layer.parameters(), TrainingSettings(epochs=1, optimizer="rprop", learning_rate=0.01))
        assert isinstance(optimizer, Rprop)
        inputs, wanted = torch.randn(16, 3), torch.randn(16, 2)
        before = F.mse_loss(layer(inputs), wanted).item()
        for _ in range(100):
            optimizer.zero_grad()
            F.mse_loss(layer(inputs), wanted).backward()
            optimizer.step()
        assert F.mse_loss(layer(inputs), wanted).item() < before
        again = Rprop(layer.parameters())
        again.load_state_dict(optimizer.state_dict())
        assert again.state_dict()["state"].keys() == optimizer.state_dict()["state"].keys()
