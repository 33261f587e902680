"""Language models: the network, training and resuming, measuring, and writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gesta.models.language import LanguageNet
from gesta.schema import GestaError
from gesta.tasks.text.corpus import read_corpus
from gesta.tasks.text.fit import LanguageFit, TorchSteps, fit_language, measure, rates
from gesta.tasks.text.predict import draw, write
from gesta.tasks.text.recipe import LanguageRecipe
from gesta.tasks.text.vocabulary import Vocabulary

SENTENCE = "the cat sat on the mat. "


def recipe(**changes: Any) -> LanguageRecipe:
    document = {
        "kind": "text",
        "name": "tiny",
        "title": "tiny",
        "model": {"embedding": 16, "hidden": 24, "layers": 1} | changes.pop("model", {}),
        "training": {"epochs": 3, "batch": 4, "steps": 16, "learning_rate": 0.02} | changes.pop("training", {}),
    }
    return LanguageRecipe.model_validate(document | changes)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("text") / "cat.txt"
    file.write_text(SENTENCE * 120)
    return file


@pytest.fixture(scope="module")
def fitted(text: Path, tmp_path_factory: pytest.TempPathFactory) -> LanguageFit:
    made = recipe(training={"epochs": 16})
    return fit_language(read_corpus(text, made.input), made, tmp_path_factory.mktemp("run"), progress=False)


def net(**changes: Any) -> LanguageNet:
    torch.manual_seed(0)
    return LanguageNet(**({"tokens": 11, "embedding": 6, "hidden": 8, "layers": 2} | changes)).eval()


@pytest.mark.parametrize("changes", [{}, {"tied": True}, {"tied": True, "embedding": 8}, {"cutoffs": [3, 6]}])
def test_steps_equal_the_whole_text(changes: dict[str, Any]) -> None:
    network = net(**changes)
    tokens = torch.randint(0, 11, (7, 3))
    features, state = network(tokens, network.start(3))
    whole = network.log_probabilities(features)
    torch.testing.assert_close(whole.exp().sum(-1), torch.ones(7, 3))
    h, c = network.start(3)
    for t in range(7):
        logs, h, c = network.step(tokens[t], h, c)
        torch.testing.assert_close(logs, whole[t])
    torch.testing.assert_close((h, c), state)
    targets = torch.randint(0, 11, (7, 3))
    torch.testing.assert_close(network.nats(features, targets), -whole.gather(-1, targets.unsqueeze(-1))[..., 0])


def test_parameters_of_the_tutorials_network() -> None:
    network = net(tokens=65, embedding=512, hidden=512, layers=3)
    assert sum(p.numel() for p in network.parameters()) == 6_370_369
    tied = net(tokens=65, embedding=512, hidden=512, layers=3, tied=True)
    assert sum(p.numel() for p in tied.parameters()) == 6_370_369 - 65 * 512


def test_dropout_is_for_training_only() -> None:
    network = net(dropout=0.5, input_dropout=0.5, weight_dropout=0.5, variational=True)
    tokens = torch.randint(0, 11, (5, 2))
    quiet = network(tokens, network.start(2))[0]
    torch.testing.assert_close(quiet, network(tokens, network.start(2))[0], rtol=0, atol=0)
    network.train()
    first, second = (network(tokens, network.start(2))[0] for _ in range(2))
    assert not torch.equal(first, second)
    dropped = (first == 0).all(0)  # a unit is dropped at every step or at none
    assert dropped.any()
    torch.testing.assert_close((first == 0).any(0), dropped)


def test_weight_dropout_spares_the_inputs_weights() -> None:
    network = net(weight_dropout=0.9, layers=1).train()
    features, _ = network(torch.randint(0, 11, (9, 4)), network.start(4))
    features.square().sum().backward()
    lstm = network.recurrent[0]
    assert (lstm.weight_hh_l0.grad == 0).float().mean() > 0.8  # type: ignore[operator]
    assert (lstm.weight_ih_l0.grad == 0).float().mean() < 0.1  # type: ignore[operator]


def test_learns_a_sentence_that_repeats(fitted: LanguageFit, text: Path) -> None:
    assert fitted.metrics["val_loss"] < 0.2
    assert fitted.history[0]["val_loss"] > 1
    corpus = read_corpus(text, recipe().input)
    assert measure(fitted.network, corpus.parts["test"], end=None, carry=True)["loss"] < 0.2


def test_measuring_equals_a_loop_over_steps(fitted: LanguageFit, text: Path) -> None:
    part = read_corpus(text, recipe().input).parts["val"]
    state, nats = fitted.network.start(1), []
    for token, following in zip(part[0][:-1], part[0][1:], strict=True):
        logs, *state = fitted.network.step(torch.tensor([token]), *state)  # type: ignore[assignment]
        nats.append(-logs[0, following].item())
    assert measure(fitted.network, part, end=None, carry=True)["loss"] == pytest.approx(np.mean(nats), abs=1e-5)
    with pytest.raises(GestaError, match="no text to measure"):
        measure(fitted.network, [], end=None, carry=True)


def test_sentences_are_measured_one_by_one() -> None:
    network = net()
    texts = [np.array([3, 4, 0]), np.array([5, 0]), np.array([0])]
    nats = []
    for text in texts:
        state = network.start(1)
        for before, token in zip([0, *text[:-1]], text, strict=True):
            logs, *state = network.step(torch.tensor([before]), *state)  # type: ignore[assignment]
            nats.append(-logs[0, token].item())
    found = measure(network, texts, end=0, carry=False)
    assert found == pytest.approx(rates(float(np.mean(nats))), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"averaging": 0.9}])
def test_a_resumed_run_ends_as_one_that_was_not_stopped(tmp_path: Path, text: Path, settings: dict[str, float]) -> None:
    whole = recipe(training=settings | {"schedule": "constant"}, model={"dropout": 0.2, "weight_dropout": 0.2})
    corpus = read_corpus(text, whole.input)
    expected = fit_language(corpus, whole, tmp_path / "whole", progress=False)

    class Stopped(Exception):
        pass

    from gesta.training.callbacks import Keeper

    finish = Keeper.on_train_epoch_end

    def stopping(keeper: Keeper, trainer: Any, module: Any) -> None:
        finish(keeper, trainer, module)
        if len(keeper.history) == 2:
            raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Keeper, "on_train_epoch_end", stopping)
        with pytest.raises(Stopped):
            fit_language(corpus, whole, tmp_path / "part", progress=False)
    resumed = fit_language(corpus, whole, tmp_path / "part", resume=True, progress=False)
    assert len(resumed.history) == 3
    assert resumed.metrics["val_loss"] == pytest.approx(expected.metrics["val_loss"], abs=1e-6)
    with pytest.raises(GestaError, match="made with another recipe"):
        fit_language(corpus, recipe(name="other"), tmp_path / "part", resume=True, progress=False)


def test_captions_are_learned_as_sentences(tmp_path: Path) -> None:
    from text.test_text_data import WORDS, captions

    made = recipe(input=WORDS.model_dump(), training={"carry": False, "epochs": 20})
    corpus = read_corpus(captions(tmp_path / "c"), made.input)
    fitted = fit_language(corpus, made, tmp_path / "run", progress=False)
    # "a dog runs|sits ." : one choice of two in five tokens
    reached = measure(fitted.network, corpus.parts["test"], end=0, carry=False)["loss"]
    assert reached == pytest.approx(np.log(2) / 5, abs=0.1)
    assert "".join(write(TorchSteps(fitted.network), fitted.vocabulary, start="a dog", length=3)).startswith("a dog ")
    letters = recipe(training={"carry": False})
    text = tmp_path / "letters.txt"
    text.write_text("ab" * 100)
    with pytest.raises(GestaError, match="carry=false is for sentences"):
        fit_language(read_corpus(text, letters.input), letters, tmp_path / "letters", progress=False)


def test_recipes_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="no unembedding to tie"):
        recipe(model={"tied": True, "cutoffs": [2]})
    with pytest.raises(ValueError, match="label_smoothing is for translation"):
        recipe(training={"label_smoothing": 0.1})


def test_cutoffs_outside_the_vocabulary_are_refused(tmp_path: Path, text: Path) -> None:
    made = recipe(model={"cutoffs": [500]})
    with pytest.raises(GestaError, match="smaller than the vocabulary"):
        fit_language(read_corpus(text, made.input), made, tmp_path, progress=False)


def test_writes_what_it_has_learned(fitted: LanguageFit) -> None:
    model = TorchSteps(fitted.network)
    text = "".join(write(model, fitted.vocabulary, start="the cat sat", length=40, temperature=0))
    assert text == (SENTENCE * 3)[: len("the cat sat") + 40]
    once, again = ("".join(write(model, fitted.vocabulary, length=50, temperature=2, seed=4)) for _ in range(2))
    assert once == again
    assert once != "".join(write(model, fitted.vocabulary, length=50, temperature=2, seed=5))
    assert next(write(model, fitted.vocabulary, start="the", length=10)) == "the"  # streams: nothing is waited for


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": "Ünbekannt"}, "does not know 'b', 'k', 'Ü'|does not know"),
        ({"temperature": -1}, "temperature is -1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0"),
        ({"length": -1}, "length of -1"),
    ],
)
def test_writing_refuses(fitted: LanguageFit, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(GestaError, match=message):
        list(write(TorchSteps(fitted.network), fitted.vocabulary, **settings))


class Always:
    """Says the same of every next token."""

    def __init__(self, probabilities: list[float]) -> None:
        with np.errstate(divide="ignore"):
            self.logs = np.log(np.array([probabilities]))

    def start(self, batch: int) -> None:
        del batch

    def step(self, tokens: np.ndarray, state: None) -> tuple[np.ndarray, None]:
        del tokens, state
        return self.logs, None


def test_words_are_spelled_in_lines_and_unknown_ones_never_written() -> None:
    vocabulary = Vocabulary("word", ("<end>", "<unk>", "dog", "cat"))
    model = Always([0.3, 0.4, 0.2, 0.1])
    text = "".join(write(model, vocabulary, start="dog cat", length=40))
    assert text.startswith("dog cat")
    assert set(text.split()) == {"dog", "cat"}
    assert all(line == line.strip() for line in text.split("\n"))
    with pytest.raises(GestaError, match="does not know 'bird'"):
        list(write(model, vocabulary, start="dog bird"))


def test_drawing() -> None:
    logs, rng = np.log(np.array([0.5, 0.3, 0.2])), np.random.default_rng(0)
    often = np.bincount([draw(logs, rng) for _ in range(2000)], minlength=3) / 2000
    np.testing.assert_allclose(often, [0.5, 0.3, 0.2], atol=0.04)
    cold = np.bincount([draw(logs, rng, temperature=0.5) for _ in range(2000)], minlength=3) / 2000
    np.testing.assert_allclose(cold, np.array([0.25, 0.09, 0.04]) / 0.38, atol=0.04)
    assert {draw(logs, rng, top_k=2) for _ in range(100)} == {0, 1}
    assert {draw(logs, rng, never=0) for _ in range(100)} == {1, 2}
    assert draw(logs, rng, temperature=0) == 0
