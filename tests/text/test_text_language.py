"""Language models: the network, training and resuming, measuring, and writing."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gesta import api
from gesta.models.language import LanguageNet
from gesta.schema import GestaError
from gesta.tasks import catalog
from gesta.tasks.text.corpus import read_corpus
from gesta.tasks.text.fit import Scored, build, cosine, fit_language
from gesta.tasks.text.ngram import KneserNey
from gesta.tasks.text.predict import LanguageModel
from gesta.tasks.text.recipe import LanguageRecipe
from gesta.tasks.text.scoring import mixed_nats, token_nats
from gesta.tasks.text.task import TASK
from gesta.tasks.text.vocabulary import Vocabulary
from gesta.tasks.text.writing import draw, write
from gesta.training.run import Run

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


def trained(data: Path, made: LanguageRecipe, out: Path, seed: int = 0) -> LanguageModel:
    """The model of the bundle that a training leaves, run by PyTorch."""
    parts = TASK.split(TASK.read(data), seed, made.model_dump())
    fitted = TASK.fit(parts, made, Run(out, seed, progress=False))
    return api.load(fitted.bundle, "torch")


@pytest.fixture(scope="module")
def model(text: Path, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return trained(text, recipe(training={"epochs": 16}), tmp_path_factory.mktemp("run"))


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


@pytest.mark.parametrize("carry", [True, False])
def test_with_an_ngram_each_probability_is_a_weighted_mean(carry: bool) -> None:
    network = net(dropout=0.5).eval()
    drawn = np.random.default_rng(0)
    texts = [np.append(drawn.integers(1, 11, length), 0) for length in (700, 3, 5)]  # 0: the end of a sentence
    ngram = KneserNey(texts[:1], 3, 11, start=0)
    nats = []
    for text, known in [(np.concatenate(texts), texts)] if carry else [(text, [text]) for text in texts]:
        inputs = torch.from_numpy(text[:-1] if carry else np.append(0, text[:-1]))
        with torch.no_grad():
            features, _ = network(inputs[:, None], network.start(1))
        beside = np.concatenate([ngram.probabilities(t) for t in known])
        for logs, target, ngrams in zip(
            network.log_probabilities(features)[:, 0], text[carry:], beside[carry:], strict=True
        ):
            nats.append(-np.log(0.75 * float(logs[target].exp()) + 0.25 * ngrams))
    alone = token_nats(Scored(network.train()), texts, 0, carry)
    np.testing.assert_allclose(mixed_nats(alone, ngram, texts), nats, rtol=1e-5)


@pytest.mark.integration
def test_learns_a_sentence_that_repeats(model: LanguageModel, text: Path) -> None:
    metrics = model.manifest.metrics
    assert metrics["val_loss"] < 0.2 < metrics["ngram_test_loss"] + 0.2
    part = TASK.split(TASK.read(text), 0, recipe().model_dump()).of("test")
    (passage,), outputs, _ = TASK.outputs(model, part, lambda *_: None)
    found = TASK.evaluate(model, [passage], outputs, 0).metrics
    assert found["loss"] < 0.2
    assert found["perplexity"] == pytest.approx(np.exp(found["loss"]))
    assert found["bits"] == pytest.approx(found["loss"] / np.log(2))
    assert found["tokens"] == len(passage.text) - 1


@pytest.fixture(scope="module")
def model_with_ngram(text: Path, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    made = recipe(model={"ngram_share": 0.4}, training={"epochs": 1})
    return trained(text, made, tmp_path_factory.mktemp("with_ngram"))


@pytest.mark.integration
@pytest.mark.parametrize("which", ["model", "model_with_ngram"])
def test_scoring_equals_a_loop_over_steps(which: str, request: pytest.FixtureRequest) -> None:
    model: LanguageModel = request.getfixturevalue(which)
    pieces = ["the cat", " sat o", "n", " the mat. the"]
    texts = [model.vocabulary.encode(piece) for piece in pieces]
    whole, state, nats = np.concatenate(texts), model.start(1), []
    for token, following in pairwise(whole):
        logs, state = model.step(np.array([token]), state)
        nats.append(-logs[0, following])
    ends = np.cumsum([len(piece) for piece in pieces]) - 1  # the first token is given
    expected = [sum(part) for part in np.split(np.array(nats), ends[:-1])]
    found = model.scores(texts)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-4)
    assert found[:, 1].tolist() == [6, 6, 1, 13]
    score = model.predict("".join(pieces))
    assert (score.nats, score.tokens) == (pytest.approx(np.mean(nats), abs=1e-5), 26)
    with pytest.raises(GestaError, match="too short"):
        model.predict("t")
    with pytest.raises(GestaError, match="does not know 'Q'"):
        model.predict("the Queen")


@pytest.mark.integration
def test_an_ngram_in_the_model(model_with_ngram: LanguageModel, text: Path) -> None:
    model = model_with_ngram
    metrics = model.manifest.metrics
    part = TASK.split(TASK.read(text), 0, recipe().model_dump()).of("test")
    passages, outputs, _ = TASK.outputs(model, part, lambda *_: None)
    found = TASK.evaluate(model, passages, outputs, 0).metrics
    assert found["ngram_loss"] == pytest.approx(metrics["ngram_test_loss"], abs=0.02)  # the first token is given
    assert found["ngram_loss"] < found["loss"] < found["network_loss"]  # it has learned nothing yet
    assert "mixed_loss" not in found
    logs = model.log_probabilities(model.vocabulary.encode("the cat sa"))
    np.testing.assert_allclose(np.exp(logs).sum(1), 1, atol=1e-5)
    assert model.vocabulary.tokens[logs[-1].argmax()] == "t"
    assert "".join(model.write(start="cat sat", length=7, temperature=0)) == "cat sat on the"
    assert "n-gram (40%)" in model.manifest.network


@pytest.mark.integration
def test_a_bundle_without_its_ngram_is_refused(tmp_path: Path, text: Path) -> None:
    from gesta.bundle import io

    made = recipe(model={"ngram_share": 0.4}, training={"epochs": 1})
    trained(text, made, tmp_path / "run")
    bundle = catalog.read_bundle(tmp_path / "run" / "bundle")
    network = [artifact for artifact in bundle.manifest.artifacts if artifact.stage != "ngram"]
    whole = api.load(io.save_zip(bundle, tmp_path / "whole.zip"), "torch")
    assert whole.predict(SENTENCE).nats == api.load(bundle.path, "torch").predict(SENTENCE).nats
    with pytest.raises(GestaError, match="lacks the n-gram"):
        api.load(io.save_zip(bundle, tmp_path / "part.zip", network), "torch")
    (counts,) = [artifact for artifact in bundle.manifest.artifacts if artifact.stage == "ngram"]
    (bundle.path / counts.file).write_bytes(b"x" * 100)
    with pytest.raises(GestaError, match="changed or damaged"):
        api.load(bundle.path, "torch")


@pytest.mark.integration
def test_the_validation_part_is_not_counted(tmp_path: Path) -> None:
    from text.test_text_data import WORDS

    rng = np.random.default_rng(0)
    text = tmp_path / "random.txt"
    text.write_text("".join(" ".join(f"w{n}" for n in rng.integers(0, 30, 8)) + "\n" for _ in range(300)))
    made = recipe(
        input=WORDS.model_dump() | {"validation": 0.2},
        model={"ngram_share": 0.5},
        training={"epochs": 1, "carry": False},
    )
    model = trained(text, made, tmp_path / "run")
    part = TASK.split(TASK.read(text), 0, made.model_dump()).of("val")
    passages, outputs, _ = TASK.outputs(model, part, lambda *_: None)
    assert TASK.evaluate(model, passages, outputs, 0).metrics["loss"] > np.log(30) - 0.5  # nothing can be learned


@pytest.mark.integration
def test_figures_of_another_text_are_not_shown(model: LanguageModel, text: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("mat the on sat cat the. " * 120)
    for data, shown in ((text, True), (other, False)):
        part = TASK.split(TASK.read(data), 0, recipe().model_dump()).of("test")
        passages, outputs, _ = TASK.outputs(model, part, lambda *_: None)
        assert ("ngram_loss" in TASK.evaluate(model, passages, outputs, 0).metrics) == shown


@pytest.mark.integration
@pytest.mark.parametrize("change", ["no model", "no input", 0, 10**9, "x", None])
def test_a_damaged_recipe_in_a_manifest_is_refused(tmp_path: Path, text: Path, change: Any) -> None:
    made = recipe(model={"ngram_share": 0.4}, training={"epochs": 1})
    trained(text, made, tmp_path / "run")
    file = tmp_path / "run" / "bundle" / "manifest.json"
    document = json.loads(file.read_text())
    if isinstance(change, str) and change.startswith("no "):
        del document["recipe"][change[3:]]
    else:
        document["recipe"]["input"]["ngram"] = change
    file.write_text(json.dumps(document))
    with pytest.raises(GestaError):
        api.load(file.parent, "torch").predict(SENTENCE)


@pytest.mark.integration
@pytest.mark.parametrize("share", [2, -1, float("nan"), "x", None])
def test_an_impossible_share_in_a_manifest_is_refused(tmp_path: Path, text: Path, share: object) -> None:
    made = recipe(model={"ngram_share": 0.4}, training={"epochs": 1})
    trained(text, made, tmp_path / "run")
    file = tmp_path / "run" / "bundle" / "manifest.json"
    document = json.loads(file.read_text())
    assert document["format_version"] == 5  # an older gesta says that it needs a newer one
    document["recipe"]["model"]["ngram_share"] = share
    file.write_text(json.dumps(document))
    with pytest.raises(GestaError, match="ngram_share"):
        api.load(file.parent, "torch")


@pytest.mark.integration
def test_quantized_and_pruned_models_keep_their_ngram(tmp_path: Path, text: Path) -> None:
    from gesta.compression.prune import Pruning, prune
    from gesta.compression.store import store_as

    made = recipe(model={"ngram_share": 0.4}, training={"epochs": 1})
    model = trained(text, made, tmp_path / "run")
    store_as(tmp_path / "run" / "bundle", tmp_path / "half", "fp16")
    expected = model.predict(SENTENCE).nats
    assert api.load(tmp_path / "half", "torch").predict(SENTENCE).nats == pytest.approx(expected, abs=0.01)
    prune(tmp_path / "run" / "bundle", tmp_path / "pruned", Pruning(sparsity=0.3))
    assert api.load(tmp_path / "pruned", "torch").predict(SENTENCE).nats == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_sentences_are_scored_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    from text.test_text_data import WORDS, captions

    made = recipe(input=WORDS.model_dump(), training={"carry": False, "epochs": 1}, model={"ngram_share": share})
    model = trained(captions(tmp_path / "c"), made, tmp_path / "run")
    texts = [model.vocabulary.sentence(line.split()) for line in ("a dog", "", "a dog runs .", "a bird")]
    expected = []
    for text in texts:
        state, total = model.start(1), 0.0
        for before, token in zip([model.vocabulary.end, *text[:-1]], text, strict=True):
            logs, state = model.step(np.array([before]), state)
            total -= logs[0, token]
        expected.append(total)
    found = model.scores(texts)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-4)
    assert found[:, 1].tolist() == [3, 1, 5, 3]
    assert model.predict("a dog\n\na dog runs .\n").tokens == 8
    whole = model.predict("a dog\na dog runs .").nats
    monkeypatch.setattr("gesta.tasks.text.scoring.STEPS", 2)
    assert model.predict("a dog\na dog runs .").nats == pytest.approx(whole, abs=1e-5)


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [cosine(step, 1100) for step in range(1101)]
    assert rates[0] == 0.01
    assert rates[99] == rates[100] == 1
    assert rates[600] == pytest.approx(0.5)
    assert rates[1100] == pytest.approx(0, abs=1e-12)
    assert cosine(0, 5) == 1


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"averaging": 0.9}])
def test_a_resumed_run_ends_as_one_that_was_not_stopped(tmp_path: Path, text: Path, settings: dict[str, float]) -> None:
    whole = recipe(training=settings | {"schedule": "constant"}, model={"dropout": 0.2, "weight_dropout": 0.2})
    corpus = read_corpus(text, whole.input)
    _, expected, _ = fit_language(corpus, whole, Run(tmp_path / "whole", progress=False))

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
            fit_language(corpus, whole, Run(tmp_path / "part", progress=False))
    _, best, history = fit_language(corpus, whole, Run(tmp_path / "part", resume=True, progress=False))
    assert len(history) == 3
    assert best["val_loss"] == pytest.approx(expected["val_loss"], abs=1e-6)
    with pytest.raises(GestaError, match="made with another recipe"):
        fit_language(corpus, recipe(name="other"), Run(tmp_path / "part", resume=True, progress=False))


@pytest.mark.integration
def test_captions_are_learned_as_sentences(tmp_path: Path) -> None:
    from text.test_text_data import WORDS, captions

    made = recipe(input=WORDS.model_dump(), training={"carry": False, "epochs": 20})
    model = trained(captions(tmp_path / "c"), made, tmp_path / "run")
    # "a dog runs|sits ." : one choice of two in five tokens
    assert model.predict("a dog runs .").nats == pytest.approx(np.log(2) / 5, abs=0.1)
    assert "".join(model.write(start="a dog", length=3)).startswith("a dog ")
    letters = recipe(training={"carry": False})
    text = tmp_path / "letters.txt"
    text.write_text("ab" * 100)
    with pytest.raises(GestaError, match="carry=false is for sentences"):
        fit_language(read_corpus(text, letters.input), letters, Run(tmp_path / "letters", progress=False))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_onnx_takes_texts_of_any_length(tmp_path: Path, text: Path, precision: str) -> None:
    from gesta.exporting.run import Export, export_bundle

    made = recipe(model={"layers": 2}, training={"epochs": 1})
    model = trained(text, made, tmp_path / "run")
    shown = TASK.examples(model.manifest, TASK.split(TASK.read(text), 0, made.model_dump()).of("val"), 8, "validation")
    how = Export("onnx", precision, seconds=0)
    export_bundle(tmp_path / "run" / "bundle", tmp_path / "onnx", how, examples=shown, calibration=shown)
    exported = api.load(tmp_path / "onnx", "onnxruntime", precision=precision)
    for given in (SENTENCE, SENTENCE * 20):
        assert exported.predict(given).nats == pytest.approx(model.predict(given).nats, abs=1e-3)


@pytest.mark.integration
@pytest.mark.parametrize("model_settings", [{"tied": True}, {"cutoffs": [3]}, {"ngram_share": 0.3}])
def test_the_exported_model_says_the_same(tmp_path: Path, text: Path, model_settings: dict[str, Any]) -> None:
    from gesta.exporting.run import Export, add, export_bundle

    made = recipe(model=model_settings | {"layers": 2}, training={"epochs": 1})
    model = trained(text, made, tmp_path / "run")
    (agreement,) = add(tmp_path / "run" / "bundle")
    assert agreement.passes
    export_bundle(tmp_path / "run" / "bundle", tmp_path / "alone", Export("openvino", seconds=0.1))
    alone = api.load(tmp_path / "alone")
    assert alone.predict(SENTENCE).nats == pytest.approx(model.predict(SENTENCE).nats, abs=1e-5)
    code = (
        "import sys\n"
        "for name in ('torch', 'onnxruntime', 'lightning'): sys.modules[name] = None\n"
        "from gesta import api\n"
        f"model = api.load({str(tmp_path / 'run' / 'bundle')!r}, 'openvino')\n"
        "print(len(''.join(model.write(start='the', length=5))))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "8\n"
    exported = api.load(tmp_path / "run" / "bundle", "openvino")
    assert exported.engine.name == "openvino"
    assert exported.predict(SENTENCE * 20).nats == pytest.approx(model.predict(SENTENCE * 20).nats, abs=1e-5)
    settings = {"start": "the", "length": 30, "seed": 3}
    assert "".join(exported.write(**settings)) == "".join(model.write(**settings))


@pytest.mark.slow
def test_the_commands(gesta: Any, tmp_path: Path, text: Path) -> None:
    out = tmp_path / "run"
    sets = ["--set", "training.epochs=1", "--set", "model.hidden=16", "--set", "training.precision=32-true"]
    done = gesta("train", text, "--recipe", "text/characters-tiny", *sets, "--out", out, "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["task"] == "text"
    assert document["metrics"]["ngram_test_loss"] < 1
    done = gesta("evaluate", out / "bundle", text, "--out", tmp_path / "report")
    assert "bits per token" in done.stdout
    assert "Kneser-Ney of order 6" in done.stdout
    assert "three quarters of the network's probability" in done.stdout
    assert (tmp_path / "report" / "passages.csv").read_text().count("\n") == 2
    assert "perplexity" in (tmp_path / "report" / "report.html").read_text()
    assert "not say who the people are" not in done.stderr
    done = gesta("predict", out / "bundle", text, tmp_path)
    assert "nats per token" in done.stdout
    assert done.exit_code == 1  # a folder is not a text file
    document = json.loads(gesta("benchmark", out / "bundle", "--seconds", 0.1, "--json").stdout)
    assert {row["engine"] for row in document["latency"]} >= {"openvino", "torch"}
    assert "tokens/s" in "\n".join(TASK.lines("benchmark", document))
    written = gesta("write", out / "bundle", "--start", "the cat", "--length", 20).stdout
    assert written.startswith("the cat")
    assert len(written) == len("the cat") + 20 + 1
    assert json.loads(gesta("write", out / "bundle", "--length", 5, "--json").stdout)["length"] == 5
    done = gesta("write", out / "bundle", "--start", "Ö")
    assert done.exit_code == 1
    assert "does not know 'Ö'" in done.stderr
    assert gesta("write", "demo").exit_code == 2


def test_every_recipe_is_one() -> None:
    from gesta import recipes

    names = [name for name in recipes.names() if name.startswith("text/")]
    assert len(names) >= 7
    for name in names:
        made = catalog.load_recipe(name)
        assert made.name == name
        head = [line for line in recipes.read_text(name).splitlines() if line.startswith("#")]
        assert all(any(line.startswith(f"# {word}:") for line in head) for word in ("Command", "Measured"))


def test_what_is_not_offered_is_refused(tmp_path: Path, text: Path) -> None:
    made = recipe()
    parts = TASK.split(TASK.read(text), 0, made.model_dump())
    with pytest.raises(GestaError, match="cannot start from a bundle"):
        TASK.fit(parts, made, Run(tmp_path), start=tmp_path)
    with pytest.raises(GestaError, match="trains in one process"):
        TASK.fit(parts, made, Run(tmp_path, devices=2))
    with pytest.raises(GestaError, match="unknown layout 'videos' of text"):
        TASK.read(text, "videos")
    with pytest.raises(GestaError, match="no passages to score"):
        TASK.labeled([], None)  # type: ignore[arg-type]


def test_recipes_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="does not work with an adaptive softmax"):
        recipe(model={"tied": True, "cutoffs": [2]})
    with pytest.raises(ValueError, match="label_smoothing is for translation"):
        recipe(training={"label_smoothing": 0.1})


def test_cutoffs_outside_the_vocabulary_are_refused(tmp_path: Path, text: Path) -> None:
    made = recipe(model={"cutoffs": [500]})
    with pytest.raises(GestaError, match="smaller than the vocabulary"):
        fit_language(read_corpus(text, made.input), made, Run(tmp_path, progress=False))


def test_an_embedding_may_be_given(tmp_path: Path) -> None:
    vocabulary = Vocabulary("word", ("<end>", "<unk>", "dog", "cat"))
    file = tmp_path / "glove.txt"
    file.write_text("dog 1 0 0\nbird 5 5 5\ncat 0 2 0\n")
    made = recipe(input={"unit": "word", "vectors": str(file)}, model={"embedding": 3})
    rows = build(made, vocabulary).embedding.weight.detach().numpy()
    assert rows[2, 0] > 0 == rows[2, 1]
    np.testing.assert_allclose(rows[3], [0, 2 * rows[2, 0], 0])
    assert np.abs(rows[:2]).max() < 0.11
    with pytest.raises(GestaError, match=r"vectors have 3 numbers, the recipe's embedding 16. Set model.embedding=3"):
        build(recipe(input={"unit": "word", "vectors": str(file)}), vocabulary)
    with pytest.raises(GestaError, match="no word of the 2 needed"):
        build(made, Vocabulary("word", ("x", "y")))
    with pytest.raises(ValueError, match="vectors are word vectors"):
        recipe(input={"vectors": str(file)})


@pytest.mark.integration
def test_writes_what_it_has_learned(model: LanguageModel) -> None:
    text = "".join(model.write(start="the cat sat", length=40, temperature=0))
    assert text == (SENTENCE * 3)[: len("the cat sat") + 40]
    once, again = ("".join(model.write(length=50, temperature=2, seed=4)) for _ in range(2))
    assert once == again
    assert once != "".join(model.write(length=50, temperature=2, seed=5))
    assert next(model.write(start="the", length=10)) == "the"  # streams: nothing is waited for


@pytest.mark.integration
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": "Übel"}, "does not know 'b', 'l', 'Ü'"),
        ({"temperature": -1}, "temperature is -1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0"),
        ({"length": -1}, "length is -1"),
    ],
)
def test_writing_refuses(model: LanguageModel, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(GestaError, match=message):
        list(model.write(**settings))


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
