"""Word vectors: files of three formats, neighbors and tests; skip-gram and CBOW against autograd and a slow loop."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gesta.models.word_vectors import NegativeSampling
from gesta.schema import GestaError
from gesta.tasks.text.fit_vectors import Predictions, VectorSettings, fit_vectors, mean_nats
from gesta.tasks.text.vectors import (
    WordVectors,
    analogy_test,
    rank_correlation,
    read_vectors,
    similarity_test,
    write_vectors,
)
from gesta.tasks.text.vocabulary import words


@pytest.fixture
def royal() -> WordVectors:
    rows = {"man": [1, 0, 0], "woman": [0, 1, 0], "king": [1, 0, 1], "queen": [0, 1, 1.1], "apple": [-1, -1, 0]}
    return WordVectors(tuple(rows), np.array(list(rows.values()), np.float32))


@pytest.mark.parametrize("kind", ["binary", "text", "glove", "glove.gz"])
def test_files_of_every_format(tmp_path: Path, royal: WordVectors, kind: str) -> None:
    path = tmp_path / kind
    write_vectors(path, royal, binary=kind == "binary")
    if kind.startswith("glove"):
        body = path.read_bytes().split(b"\n", 1)[1] + b". . . 1 2 3\nman 9 9 9\n"
        path.write_bytes(gzip.compress(body) if kind.endswith("gz") else body)
    found = read_vectors(path)
    np.testing.assert_array_equal(found["queen"], royal["queen"])
    np.testing.assert_array_equal(found["man"], royal["man"])
    assert (". . ." in found) == kind.startswith("glove")
    assert read_vectors(path, {"apple", "pear"}).words == ("apple",)
    with pytest.raises(GestaError, match="no word of the 1 needed"):
        read_vectors(path, {"pear"})


def test_binary_without_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "v.bin"
    path.write_bytes(b"2 1\na " + np.float32(1).tobytes() + b"b " + np.float32(2).tobytes())
    assert read_vectors(path)["b"] == 2
    path.write_bytes("\ufeffa 1\nb 2\n".encode())
    assert read_vectors(path)["a"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1 is not a word|has no word"),
        (b"justoneword\n", "line 1 is not a word"),
        (b"a 1 2\nb 1\n", "line 2 is not a word followed by 2 numbers"),
        (b"a 1 2\nb 1 x\n", "line 2 is not a word followed by 2 numbers"),
        (b"2 2\na 1 2\nb 1 2 3 x\n", "line 3 is not a word followed by 2 numbers"),
        (b"2 2\na \1\2\3\4\5\6\7\x08b \1\2", "ends in the vector of word 2 of 2"),
        (b"3 1\na \1\2\3\4", "in word 2 of 3"),
        (b"a 1 nan\n", "'a' has a value that is not a number"),
        (b"a 1 1e39\n", "'a' has a value that is not a number"),
        (b"3 1\na 1\nb 2\n", "announces 3 words, but 2 follow"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(content)
    with pytest.raises(GestaError, match=message) as error:
        read_vectors(path)
    assert "vectors" in str(error.value)


def test_what_cannot_be_written_or_found(tmp_path: Path, royal: WordVectors) -> None:
    with pytest.raises(GestaError, match="no spaces"):
        write_vectors(tmp_path / "v", WordVectors(("a b",), np.ones((1, 2), np.float32)))
    with pytest.raises(GestaError, match="cannot be read"):
        read_vectors(tmp_path / "none")
    with pytest.raises(GestaError, match="no vector for 'pear' among the 5"):
        royal.nearest("pear")
    with pytest.raises(GestaError, match="2 words need as many"):
        WordVectors(("a", "b"), np.ones((1, 2), np.float32))


def test_neighbors_and_analogies(royal: WordVectors) -> None:
    assert [word for word, _ in royal.nearest("king", 2)] == ["man", "queen"]
    assert royal.nearest("man", 1)[0][1] == pytest.approx(2**-0.5)
    assert royal.analogy("man", "king", "woman", 1)[0][0] == "queen"
    assert len(royal.nearest("man", 99)) == 4
    rows, there = royal.rows(["king", "pear"])
    assert there.tolist() == [True, False]
    np.testing.assert_array_equal(rows[0], royal["king"])


def test_analogy_and_similarity_files(tmp_path: Path, royal: WordVectors) -> None:
    questions = tmp_path / "q.txt"
    questions.write_text(": family\nMan King Woman Queen\nman woman king apple\nman woman king pear\n: none\na b c d\n")
    scores = analogy_test(royal, questions)
    assert (scores["family"].value, scores["family"].covered, scores["family"].total) == (0.5, 2, 3)
    assert (scores["all"].value, scores["all"].covered, scores["all"].total) == (0.5, 2, 4)
    pairs = tmp_path / "p.tsv"
    pairs.write_text("# two words\nking\tman\t9\nking\tapple\t1\nking\tqueen\t5\nking\tpear\t3\n")
    score = similarity_test(royal, pairs)
    assert (score.value, score.covered, score.total) == (pytest.approx(1), 3, 4)
    questions.write_text("three words only\n")
    pairs.write_text("king man 9\n")
    with pytest.raises(GestaError, match="line 1 does not have four words"):
        analogy_test(royal, questions)
    with pytest.raises(GestaError, match="line 1 is not WORD"):
        similarity_test(royal, pairs)
    pairs.write_text("king\tman\tnan\n")
    with pytest.raises(GestaError, match="line 1 is not WORD"):
        similarity_test(royal, pairs)


def test_rank_correlation_equals_scipys() -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 6, 40), rng.integers(0, 6, 40)
    assert rank_correlation(first, second) == pytest.approx(scipy_stats.spearmanr(first, second).statistic)
    assert np.isnan(rank_correlation([1], [1]))
    assert np.isnan(rank_correlation([1, 1], [1, 2]))


@pytest.mark.parametrize("context", [1, 4])
def test_update_is_the_gradient(context: int) -> None:
    torch.manual_seed(0)
    model = NegativeSampling(9, 5)
    model.outputs = torch.randn(9, 5)
    inputs = torch.randint(0, 9, (7, context))
    targets = torch.randint(0, 9, (7, 4))
    targets[0, 2] = targets[0, 0]  # a negative that is the true word
    learned = NegativeSampling(9, 5)
    learned.inputs, learned.outputs = model.inputs.clone(), model.outputs.clone()
    learned.update(inputs, targets, 0.1)
    model.inputs.requires_grad_()
    model.outputs.requires_grad_()
    model.nats(inputs, targets).sum().backward()
    assert model.outputs.grad is not None
    assert model.inputs.grad is not None
    torch.testing.assert_close(learned.outputs, model.outputs - 0.1 * model.outputs.grad)
    whole = model.inputs.grad * context  # the authors' program: the mean's gradient goes whole to every word
    torch.testing.assert_close(learned.inputs, model.inputs - 0.1 * whole)


def test_nats_by_hand() -> None:
    model = NegativeSampling(3, 1)
    model.inputs, model.outputs = torch.tensor([[1.0], [0], [0]]), torch.tensor([[0.0], [2], [-1]])
    found = model.nats(torch.tensor([[0]]), torch.tensor([[1, 2, 1, 0]]))
    expected = np.log1p(np.exp(-2)) + np.log1p(np.exp(-1)) + np.log(2)  # the second 1 does not count
    assert found.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("method", ["skip_gram", "cbow"])
def test_predictions_equal_a_slow_loop(method: str) -> None:
    texts = [np.array([0, 1, 2, 3, 4]), np.array([5, 6])]
    predictions = Predictions(texts, 7, VectorSettings(method=method, window=1, sample=0, negative=3))  # type: ignore[arg-type]
    inputs, targets = predictions.of(texts, np.random.default_rng(0))
    expected = []
    for text in texts:
        for i, middle in enumerate(text):
            around = [int(text[j]) for j in (i - 1, i + 1) if 0 <= j < len(text)]
            if method == "cbow":
                expected.append((tuple(sorted(around)), int(middle)))
            else:
                expected += [((int(middle),), other) for other in around]
    found = [(tuple(sorted(int(w) for w in row if w >= 0)), int(t[0])) for row, t in zip(inputs, targets, strict=True)]
    assert sorted(found) == sorted(expected)
    assert targets.shape == (len(expected), 4)


def test_frequent_words_are_left_out_and_negatives_drawn_by_their_power() -> None:
    text = np.repeat([0, 1], [9000, 1000])
    predictions = Predictions([text], 2, VectorSettings(sample=0.01, window=1))
    np.testing.assert_allclose(predictions.kept, [(90**0.5 + 1) / 90, (10**0.5 + 1) / 10])
    _, targets = predictions.of([text], np.random.default_rng(0))
    assert (targets[:, 1:] == 0).mean() == pytest.approx(9**0.75 / (9**0.75 + 1), abs=0.02)


@pytest.mark.parametrize("method", ["skip_gram", "cbow"])
def test_words_that_are_used_alike_come_close(method: str) -> None:
    rng = np.random.default_rng(0)
    animals, foods = ["cat", "dog", "cow"], ["rice", "soup", "bread"]
    sentences = [["the", a, "runs", "and", "sleeps"] for a in rng.choice(animals, 600)]
    sentences += [["we", "eat", f, "with", "salt"] for f in rng.choice(foods, 600)]
    vocabulary = words(sentences)
    texts = [vocabulary.encode(sentence) for sentence in sentences]
    settings = VectorSettings(method=method, width=12, epochs=5, rate=0.05, sample=0)  # type: ignore[arg-type]
    vectors, model = fit_vectors(texts, vocabulary, settings, seed=1)
    assert {word for word, _ in vectors.nearest("cat", 2)} <= {"dog", "cow", "runs", "the", "sleeps", "and"}
    assert vectors.similarity("cat", "dog") > vectors.similarity("cat", "soup") + 0.3
    start = NegativeSampling(len(vocabulary), 12, 1)
    assert mean_nats(model, texts, settings) < 0.8 * mean_nats(start, texts, settings)
    again, _ = fit_vectors(texts, vocabulary, settings, seed=1)
    np.testing.assert_array_equal(vectors.vectors, again.vectors)


def test_nothing_to_predict_is_refused() -> None:
    with pytest.raises(GestaError, match="No sentence has two words"):
        fit_vectors([np.array([1])], words([["a"]]))


def test_the_commands(gesta: Any, tmp_path: Path, royal: WordVectors) -> None:
    text, out = tmp_path / "text.txt", tmp_path / "vectors.bin"
    text.write_text("The king sees the queen\nThe man sees a woman\n" * 20)
    done = gesta("embed", "train", text, "--out", out, "--width", 6, "--epochs", 1, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["words"] == 7
    assert set(read_vectors(out).words) == {"the", "king", "sees", "queen", "man", "a", "woman"}
    file = tmp_path / "royal.txt"
    write_vectors(file, royal)
    assert gesta("embed", "analogy", file, "man", "king", "woman", "--count", 1).stdout.split()[1] == "queen"
    assert json.loads(gesta("embed", "near", file, "king", "--json").stdout)[0]["word"] == "man"
    assert gesta("embed", "similarity", file, "man", "king").stdout.strip() == "0.7071"
    (tmp_path / "p.tsv").write_text("king\tman\t9\nking\tapple\t1\n")
    (tmp_path / "q.txt").write_text(": none\na b c d\n")
    done = gesta("embed", "test", file, "--pairs", tmp_path / "p.tsv", "--questions", tmp_path / "q.txt", "--json")
    found = json.loads(done.stdout)
    assert found["p.tsv"]["value"] == pytest.approx(1)
    assert found["q.txt: all"] == {"value": None, "covered": 0, "total": 1}
    assert gesta("embed", "near", file, "pear").exit_code == 1
    assert "Nothing to test on" in gesta("embed", "test", file).stderr
    again = gesta("embed", "train", text, "--out", out)
    assert again.exit_code == 2 and "replace it: --overwrite" in again.stderr
    assert gesta("embed", "train", text, "--out", out, "--method", "glove").exit_code == 2
