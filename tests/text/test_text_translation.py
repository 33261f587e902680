"""Translation: the network alone and in batches, beam search against trying everything, training on a toy language."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gesta import api
from gesta.models.translation import TranslationNet, places, reversed_within
from gesta.schema import GestaError
from gesta.tasks.text.beam import beam_search
from gesta.tasks.text.pairs import corpus_of, divide, read
from gesta.tasks.text.recipe import BeamSettings, PairInputSettings, TranslationRecipe
from gesta.tasks.text.translate_predict import Translator, bleu, nearest_sentences
from gesta.tasks.text.translate_task import TASK
from gesta.training.run import Run

KINDS = [{"attention": True}, {"attention": False}, {"attention": True, "layers": 2}]


def net(**changes: Any) -> TranslationNet:
    torch.manual_seed(0)
    sizes = {"source_tokens": 9, "target_tokens": 7, "embedding": 5, "hidden": 6, "layers": 1, "attention": True}
    return TranslationNet(**(sizes | changes)).eval()


@pytest.mark.parametrize("changes", KINDS)
def test_padding_changes_nothing(changes: dict[str, Any]) -> None:
    network = net(**changes)
    sources = [torch.randint(0, 9, (length,)) for length in (2, 5, 4)]
    batch = torch.nn.utils.rnn.pad_sequence(sources)
    inputs = torch.randint(0, 7, (4, 3))
    together = network(batch, torch.tensor([2, 5, 4]), inputs)
    for b, source in enumerate(sources):
        alone = network(source.unsqueeze(1), torch.tensor([len(source)]), inputs[:, b : b + 1])
        torch.testing.assert_close(together[:, b : b + 1], alone)


@pytest.mark.parametrize("changes", KINDS)
def test_steps_equal_the_whole_sentence(changes: dict[str, Any]) -> None:
    network = net(**changes)
    source, lengths, inputs = torch.randint(0, 9, (5, 2)), torch.tensor([5, 3]), torch.randint(0, 7, (4, 2))
    whole = network(source, lengths, inputs)
    memory = network.encode(source, lengths)
    h, c = network.start(memory)
    for t in range(4):
        features, (h, c) = network.decode(inputs[t : t + 1], memory, h, c)
        torch.testing.assert_close(network.logits(features[0]), whole[t])


def test_attention_is_a_mean_over_the_words() -> None:
    network = net()
    memory = network.encode(torch.randint(0, 9, (5, 2)), torch.tensor([5, 3]))
    assert network.attention is not None
    outputs = torch.randn(4, 2, 6)
    weights = network.attention.weights(outputs, memory)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4))
    assert (weights[1, :, 3:] == 0).all()
    scores = [[network.attention.query(outputs[t, 0]) @ memory.outputs[s, 0] for s in range(5)] for t in range(4)]
    torch.testing.assert_close(weights[0], torch.tensor(scores).softmax(-1))


def test_the_vector_is_the_last_states() -> None:
    network = net()
    source, lengths = torch.randint(0, 9, (5, 2)), torch.tensor([5, 3])
    memory = network.encode(source, lengths)
    x = network.encoder.embedding(source[:3, 1:])
    onward, _ = network.encoder.onward[0](x)
    back, _ = network.encoder.back[0](x.flip(0))
    torch.testing.assert_close(memory.vector[1], torch.cat([onward[-1, 0], back[-1, 0]]))


def test_reversing_leaves_padding_where_it_is() -> None:
    steps = torch.arange(10).view(5, 2, 1)
    lengths = torch.tensor([5, 3])
    place = places(steps[..., 0])
    assert place.tolist() == [[t, t] for t in range(5)]
    turned = reversed_within(steps, place, lengths)
    assert turned[:, 0, 0].tolist() == [8, 6, 4, 2, 0]
    assert turned[:, 1, 0].tolist() == [5, 3, 1, 7, 9]
    torch.testing.assert_close(reversed_within(turned, place, lengths), steps)


def test_parameters() -> None:
    network = net(source_tokens=8000, target_tokens=6000, embedding=256, hidden=256)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(5.8e6, rel=0.02)


class Table:
    """Log probabilities that depend on the last two tokens and the sentence: state [N, 2] (sentence, token before)."""

    def __init__(self, seed: int, vocabulary: int = 4) -> None:
        logits = np.random.default_rng(seed).normal(0, 2, (2, vocabulary, vocabulary, vocabulary))
        self.logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))

    def step(self, tokens: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.logs[state[:, 0], state[:, 1], tokens], np.stack([state[:, 0], tokens], 1)

    def best(self, sentence: int, longest: int, penalty: float, never: int | None) -> tuple[tuple[int, ...], float]:
        found = []
        for length in range(1, longest + 1):
            for text in itertools.product([1, 2, 3], repeat=length):
                for ends in (True, False):
                    if (not ends and length < longest) or never in text:
                        continue
                    said = (*text[:-1], 0) if ends else text
                    before, token, total = 0, 0, 0.0
                    for following in said:
                        total += self.logs[sentence, before, token, following]
                        before, token = token, following
                    found.append((total / length**penalty, text[:-1] if ends else text))
        score, text = max(found)
        return text, score


@pytest.mark.parametrize("never", [None, 2])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_best_sentence(seed: int, penalty: float, never: int | None) -> None:
    table = Table(seed)
    found = beam_search(
        table.step,
        lambda state, rows: state[rows],
        np.array([[0, 0], [1, 0]]),
        sentences=2,
        end=0,
        how=BeamSettings(beams=200, longest=4, penalty=penalty),
        never=never,
    )
    for sentence, hypotheses in enumerate(found):
        text, score = table.best(sentence, 4, penalty, never)
        assert hypotheses[0].tokens == text
        assert hypotheses[0].score == pytest.approx(score)
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)


def test_one_beam_is_greedy_and_sentences_do_not_disturb_each_other() -> None:
    table = Table(5)

    def search(starts: list[list[int]], beams: int) -> list[Any]:
        state = np.array(starts)
        return beam_search(
            table.step,
            lambda s, rows: s[rows],
            state,
            sentences=len(starts),
            end=0,
            how=BeamSettings(beams=beams, longest=6),
        )

    greedy, before, token = [], 0, 0
    for _ in range(6):
        following = int(table.logs[1, before, token].argmax())
        if following == 0:
            break
        greedy.append(following)
        before, token = token, following
    assert search([[1, 0]], 1)[0][0].tokens == tuple(greedy)
    assert search([[0, 0], [1, 0]], 3) == [search([[0, 0]], 3)[0], search([[1, 0]], 3)[0]]


def toy(folder: Path, pairs: int = 600) -> Path:
    """A language whose sentences are the other's, word by word, in reverse."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", pairs), ("dev", 20), ("test", 20)):
        lines = [rng.choice(list("abcdef"), rng.integers(1, 5)).tolist() for _ in range(count)]
        (folder / f"{part}.gloss").write_text("".join(" ".join(line).upper() + "\n" for line in lines))
        (folder / f"{part}.de").write_text("".join(" ".join(line[::-1]) + "\n" for line in lines))
    return folder


def toy_recipe(**changes: Any) -> TranslationRecipe:
    return TranslationRecipe.model_validate(
        {
            "kind": "translation",
            "name": "toy",
            "title": "toy",
            "input": {"source": "gloss", "target": "de"},
            "model": {"embedding": 24, "hidden": 32, "dropout": 0.0} | changes.pop("model", {}),
            "training": {"epochs": 25, "batch": 16, "learning_rate": 0.01, "label_smoothing": 0.05} | changes,
            "search": {"beams": 3},
        }
    )


@pytest.mark.slow
def test_learns_to_translate_a_toy_language(tmp_path: Path) -> None:
    made = toy_recipe()
    parts = TASK.split(TASK.read(toy(tmp_path / "toy")), 0, made.model_dump())
    fitted = TASK.fit(parts, made, Run(tmp_path / "run", progress=False))
    assert fitted.metrics["val_loss"] < 0.3
    translator = api.load(fitted.bundle, "torch")
    samples, said, _ = TASK.outputs(translator, parts.of("test"), lambda *_: None)
    assert sum(a == pair.target for a, pair in zip(said, samples, strict=True)) >= 18
    result = TASK.evaluate(translator, samples, said, 0)
    assert result.metrics["bleu"] > 80
    assert result.metrics["length_ratio"] == pytest.approx(1, abs=0.1)
    TASK.report(result, tmp_path / "report")
    assert (tmp_path / "report" / "translations.csv").read_text().count("\n") == 21


@pytest.mark.integration
@pytest.mark.parametrize("attention", [True, False])
def test_the_exported_translator_says_the_same(tmp_path: Path, attention: bool) -> None:
    from gesta.exporting.run import add

    made = toy_recipe(epochs=2, model={"attention": attention, "layers": 2})
    parts = TASK.split(TASK.read(toy(tmp_path / "toy", 60)), 0, made.model_dump())
    bundle = TASK.fit(parts, made, Run(tmp_path / "run", progress=False)).bundle
    assert all(agreement.passes for agreement in add(bundle))
    one, other = (api.load(bundle, engine) for engine in ("torch", "openvino"))
    assert isinstance(one, Translator)
    assert other.engine.name == "openvino"
    sentences = ["A B C", "D", "", "F E D C B A", "NEVER SEEN"]
    expected = one.translate(sentences)
    for sentence, translation, alone in zip(sentences, other.translate(sentences), expected, strict=True):
        assert translation.text == alone.text == one.predict(sentence).text
        assert translation.score == pytest.approx(alone.score, abs=1e-4)
    vectors = one.vectors(sentences)
    np.testing.assert_allclose(other.vectors(sentences), vectors, atol=1e-5)
    assert vectors.shape == (5, 64)
    assert nearest_sentences(vectors, vectors[3], 1)[0] == (3, pytest.approx(1, abs=1e-5))


@pytest.mark.integration
@pytest.mark.parametrize(("to", "precision"), [("onnx", "fp32"), ("openvino", "int8")])
def test_exports_take_sentences_of_any_length(tmp_path: Path, to: str, precision: str) -> None:
    from gesta.exporting.run import Export, export_bundle

    made = toy_recipe(epochs=1)
    parts = TASK.split(TASK.read(toy(tmp_path / "toy")), 0, made.model_dump())
    bundle = TASK.fit(parts, made, Run(tmp_path / "run", progress=False)).bundle
    one = api.load(bundle, "torch")
    shown = TASK.examples(one.manifest, parts.of("val"), 4, "validation")
    export_bundle(bundle, tmp_path / "out", Export(to, precision, seconds=0), examples=shown, calibration=shown)
    other = api.load(tmp_path / "out", precision=precision)
    for sentence in ("A B C D E F A B", "C"):
        assert other.predict(sentence).score == pytest.approx(one.predict(sentence).score, abs=0.02)


def test_reading_pairs_holds_some_out(tmp_path: Path) -> None:
    settings = PairInputSettings(source="gloss", target="de", validation=0.1)
    listing = divide(read(toy(tmp_path / "toy")), settings, 0)
    corpus = corpus_of(listing, settings)
    counts = {part: len(pairs) for part, pairs in corpus.parts.items()}
    assert counts == {"train": 540, "val": 60, "dev": 20, "test": 20}
    source, target = corpus.parts["val"][0]
    assert corpus.source.decode(source)[:-1] == [w.upper() for w in corpus.target.decode(target)[-2::-1]]
    assert len(set(TASK.identities(listing.samples))) == 640
    (tmp_path / "toy" / "train.de").write_text("a\n")
    (tmp_path / "toy" / "train.gloss").write_text("A\n")
    with pytest.raises(GestaError, match="too few to hold some out"):
        divide(read(tmp_path / "toy"), settings, 0)


@pytest.mark.slow
def test_the_commands(gesta: Any, tmp_path: Path) -> None:
    folder, out = toy(tmp_path / "toy"), tmp_path / "run"
    sets = [f"--set={s}" for s in ("training.epochs=1", "model.hidden=16", "training.precision=32-true")]
    done = gesta("train", folder, "--recipe", "text/gloss-to-german", *sets, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "nats per word" in done.stdout
    done = gesta("evaluate", out / "bundle", folder, "--split", "dev", "--out", tmp_path / "report")
    assert "BLEU" in done.stdout
    assert (tmp_path / "report" / "translations.csv").exists()
    (tmp_path / "new.txt").write_text("A B\n\nC XY\n")
    done = gesta("predict", out / "bundle", tmp_path / "new.txt", tmp_path / "none.txt", "--json")
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["source"] for one in documents] == ["A B", "", "C XY"]
    assert documents[1]["translation"] == "" and "does not know 'XY': read as <unk>" in done.stderr
    assert (done.exit_code, "none.txt: cannot be read" in done.stderr) == (1, True)
    assert gesta("write", out / "bundle").exit_code == 2
    wrong = gesta("train", folder, "--recipe", "text/german-to-english", "--out", tmp_path / "other")
    assert wrong.exit_code == 1
    assert "Available languages: de, gloss" in wrong.stderr


def test_bleu() -> None:
    pytest.importorskip("sacrebleu")
    references = ["a dog runs over the grass .", "two men sit ."]
    assert bleu(references, references) == pytest.approx(100)
    assert 0 < bleu(["a dog runs on the grass .", "two men sit ."], references) < 90
    with pytest.raises(GestaError, match="1 translations for 2 references"):
        bleu(["a"], references)
