"""The baselines of a training of clips: how they are measured, what is delivered, and that it runs as a bundle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from calls import fit, load
from training.learnable import MemoryStore, samples, tiny

from gesta.models.catalog import build
from gesta.models.prototypes import prototypes_of
from gesta.recipes import load as load_recipe
from gesta.schema import GestaError, Sample
from gesta.tasks.clips.auto import Facts, resolve
from gesta.tasks.clips.baselines import Comparison, all_right, held_out, unmeasured
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.tasks.clips.transfer import warm_start
from gesta.training.run import Fitted


@pytest.mark.parametrize(
    ("accuracies", "settled", "delivered"),
    [
        ({"network": 0.5, "nearest neighbor": 0.5}, None, "network"),
        ({"network": 0.4, "nearest neighbor": 0.5, "nearest class mean": 0.4}, None, "nearest neighbor"),
        ({"network": 0.4, "embedding": 0.6, "embedding with nearest neighbor": 0.6}, None, "embedding"),
        ({"network": 0.4, "nearest neighbor of skeletons": 0.6}, None, "nearest neighbor of skeletons"),
        ({"nearest neighbor": 0.5}, "network", "network"),
        ({}, "nearest neighbor", "nearest neighbor"),
    ],
)
def test_the_best_is_delivered(accuracies: dict[str, float], settled: str | None, delivered: str) -> None:
    assert Comparison(10, accuracies, 10, "the validation part", settled).delivered == delivered


def test_people_are_held_out_whole_and_without_people_clips_of_each_class() -> None:
    some = [replace(s, label="ab"[i % 2], subject=f"p{i // 4}") for i, s in enumerate(samples()[:8])]
    assert [out for _, out in held_out(some, 3)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    alone = [replace(s, subject=None) for s in some]
    assert [out for _, out in held_out(alone, 3)] == [[0, 1, 6, 7], [2, 3], [4, 5]]
    assert held_out(alone[:2], 3) == []


def test_a_network_that_does_not_know_its_own_clips_has_no_say() -> None:
    assert unmeasured([], 0.9) == "network with nearest neighbor"
    assert unmeasured([], 0.5) == "nearest neighbor"


def trained(tmp_path: Path, some: list[Sample], *sets: str, store: MemoryStore | None = None) -> Fitted:
    torch.set_num_threads(1)
    recipe = tiny("auto", "baselines=true", *sets)
    return fit(some, recipe, tmp_path, layout="memory", device="cpu", progress=False, cache=store or MemoryStore())


def of_classes(count: int, *labels: str) -> list[Sample]:
    """So many training clips of each class."""
    mine = {label: [s for s in samples() if s.label == label][:count] for label in labels}
    return [replace(s, split="train") for some in mine.values() for s in some]


def test_of_one_clip_a_class_the_network_votes_only_where_it_has_learned_them(tmp_path: Path) -> None:
    one_each, store = of_classes(1, "c0", "c1", "c2"), MemoryStore()
    found = trained(tmp_path, one_each, "training.epochs=1", store=store)
    baselines = found.metrics["baselines"]
    fits = found.history[-1]["train_accuracy"] >= 0.8
    assert baselines["clips"] == 0
    assert baselines["delivered"] == ("network with nearest neighbor" if fits else "nearest neighbor")
    recognizer = load(found.bundle, engine="torch", device="cpu")
    for sample in one_each:
        assert recognizer.predict(store.load(sample, recognizer.manifest.transform)).label == sample.label


def test_a_lookup_is_no_network_to_begin_from(tmp_path: Path) -> None:
    found = trained(tmp_path, of_classes(1, "c0", "c1"), "model.name=nearest", "model.memory=0")
    with pytest.raises(GestaError, match="no network to start from"):
        warm_start(found.bundle, samples(), 0)


@pytest.mark.integration
def test_candidates_are_measured_on_the_same_clips(tmp_path: Path) -> None:
    found = trained(tmp_path, of_classes(3, "c0", "c1"), "training.epochs=1")
    baselines = found.metrics["baselines"]
    assert baselines["where"] == "training clips held out in turn" and baselines["clips"] == 6
    names = ("network", "embedding", "nearest_neighbor", "nearest_class_mean", "embedding_with_nearest_neighbor")
    assert baselines[baselines["delivered"].replace(" ", "_")] == max(baselines[name] for name in names)
    assert np.isclose(baselines["chance"], 0.5)


@pytest.mark.integration
@pytest.mark.parametrize("right", [True, False])
def test_behind_a_network_without_an_error_nothing_else_is_trained(tmp_path, monkeypatch, right: bool) -> None:
    """What is delivered is the same: of equal candidates the network."""
    monkeypatch.setattr("gesta.tasks.clips.baselines.all_right", lambda *_: right)
    found = trained(tmp_path, of_classes(3, "c0", "c1"), "training.epochs=1")
    assert ("embedding" in found.metrics["baselines"]) is not right


def test_all_right_means_every_clip() -> None:
    asked = [replace(samples()[0], label=label) for label in "aab"]
    answers = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    assert all_right(answers, asked, "ab") and not all_right(answers[:, ::-1], asked, "ab")
    assert not all_right(answers[[0, 1, 1]], asked, "ab") and not all_right(answers[:0], [], "ab")


@pytest.mark.parametrize("sets", [("model.head=prototypes",), ("model.head=prototypes", "model.examples=3"), ()])
def test_votes_and_embeddings_step_as_they_answer_the_whole(sets: tuple[str, ...]) -> None:
    recipe = tiny("auto", *sets)
    torch.manual_seed(0)
    network = build(classes=3, streams=1, channels=1, size=16, chunk=4, **recipe.model.model_dump()).eval()
    clip = torch.randint(0, 256, (2, 1, 1, 12, 16, 16)).to(torch.uint8)
    state = [torch.zeros([2 if n == -1 else n for n in shape]) for shape in network.state_shapes.values()]
    for start in range(0, 12, 4):
        logits, *state = network.step(clip[:, :, :, start : start + 4], *state)
    torch.testing.assert_close(logits, network(clip, torch.tensor([12, 12])), atol=1e-4, rtol=1e-4)


def test_prototypes_are_the_means_of_their_clips(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = tiny("auto", "model.head=prototypes")
    network = build(classes=2, streams=1, channels=1, size=16, chunk=4, **recipe.model.model_dump()).eval()
    found = trained(
        tmp_path, of_classes(2, "c0", "c1"), "training.epochs=1", "baselines=false", "model.head=prototypes"
    )
    assert prototypes_of(found.network) is not None and prototypes_of(network) is not None


def test_tiny_sets_get_so_many_updates() -> None:
    facts = Facts(8, ("a", "b"), 30.0, {"color": 1.0})
    recipe, notes = resolve(load_recipe("auto", ClipRecipe), facts)
    assert recipe.training.epochs == 600 and any("600 updates" in note for note in notes)
    assert resolve(recipe, facts)[0].training.epochs == 600
    by_hand, _ = resolve(load_recipe("auto", ClipRecipe, ["training.epochs=3"]), facts)
    assert by_hand.training.epochs == 3
