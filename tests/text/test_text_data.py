"""Text on disk becomes numbers; what is not text is refused with what to do about it."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from gesta.schema import GestaError
from gesta.tasks.text import data
from gesta.tasks.text.batches import Sentences, Stream
from gesta.tasks.text.corpus import by_position, read_corpus
from gesta.tasks.text.pairs import divide, read
from gesta.tasks.text.recipe import PairInputSettings, TextInputSettings
from gesta.tasks.text.vocabulary import END, UNKNOWN, Vocabulary, characters, words

WORDS = TextInputSettings(unit="word", minimum_count=2, validation=0.25)


def captions(folder: Path) -> Path:
    """Eight training images with two captions each, one image each for dev and test."""
    folder.mkdir()
    lists = {"train": [f"t{i}.jpg" for i in range(8)], "dev": ["d.jpg"], "test": ["e.jpg"]}
    for part, images in lists.items():
        (folder / f"Flickr_8k.{part}Images.txt").write_text("\n".join(images) + "\n")
    lines = [f"{image}#{k}\tA dog {'runs' if k else 'sits'} ." for image in lists["train"] for k in (0, 1)]
    lines += ["d.jpg#0\tA cat runs .", "e.jpg#0\tA dog runs ."]
    (folder / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")
    return folder


def pairs(folder: Path) -> Path:
    folder.mkdir()
    for part, source, target in (
        ("train", "ein hund\neine katze\n", "a dog\na cat\n"),
        ("val", "ein vogel\n", "a bird\n"),
        ("test_2016", "ein hund\n", "a dog\n"),
    ):
        (folder / f"{part}.de").write_text(source)
        (folder / f"{part}.en").write_text(target)
    return folder


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", b"", "is empty"),
        ("blank.txt", b" \n\n", "is empty"),
        ("binary.txt", b"abc\0def", "binary file"),
        ("latin.txt", b"first\nna\xefve", "line 2 is not UTF-8"),
        ("broken.gz", b"\x1f\x8b\x08 no gzip", "cannot be read"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GestaError, match=message) as error:
        data.read_text(tmp_path / name)
    assert name in str(error.value)


def test_missing_and_empty_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GestaError, match="neither a file nor a folder"):
        data.layout_of(tmp_path / "none")
    with pytest.raises(GestaError, match="contains no text"):
        data.layout_of(tmp_path)
    with pytest.raises(GestaError, match="contains no text"):
        data.sentences_of(tmp_path)
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(GestaError, match="it is not a regular file but a pipe"):
        data.read_text(tmp_path / "pipe.txt")


def test_folders_of_other_things_are_not_taken_for_text(tmp_path: Path) -> None:
    (tmp_path / "classInd.txt").write_text("1 wave\n")
    assert data.recognized(tmp_path) == "text"
    (tmp_path / "videos").mkdir()
    assert data.recognized(tmp_path) is None
    assert data.recognized(tmp_path / "videos") is None
    assert data.recognized(tmp_path / "clip.mp4") is None


def test_marks_line_ends_and_compression(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes("\ufeffzwei\r\nZeilen\r".encode())
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"first "))
    assert data.layout_of(tmp_path) == "text"
    assert data.whole_text(tmp_path) == "first zwei\nZeilen\n"


def test_a_text_is_divided_by_position(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("ab" * 45 + "abababababZ"[:10])
    corpus = read_corpus(file, TextInputSettings(validation=0.2))
    assert {part: corpus.tokens(part) for part in corpus.parts} == {"train": 72, "val": 18, "dev": 0, "test": 10}
    assert set(corpus.vocabulary.tokens) == {"a", "b"}
    with pytest.raises(GestaError, match="too few to split"):
        by_position("a", 0.1)


def test_characters_of_later_parts_are_unknown(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("ab" * 45 + "ababababaZ")
    corpus = read_corpus(file, TextInputSettings())
    assert corpus.vocabulary.tokens[0] == UNKNOWN
    assert (corpus.parts["test"][0] == corpus.vocabulary.unknown).mean() == pytest.approx(0.1)
    file.write_text("a" * 100)
    with pytest.raises(GestaError, match="1 different character;"):
        read_corpus(file, TextInputSettings())


def test_vocabularies() -> None:
    letters = characters("aab")
    assert letters.tokens == ("a", "b")
    with pytest.raises(GestaError, match="does not know 'x', 'z'"):
        letters.encode("azxa")
    known = words([["a", "dog"], ["a", "cat", END]], minimum_count=1, most=2)
    assert known.tokens == (END, UNKNOWN, "a", "cat")
    assert known.sentence(["a", "dog"]).tolist() == [2, 1, 0]
    assert known.decode([2, 3]) == ["a", "cat"]
    with pytest.raises(GestaError, match="No word occurs at least 9 times"):
        words([["a"]], minimum_count=9)
    with pytest.raises(GestaError, match="'a' more than once"):
        Vocabulary("word", ("a", "a"))


def test_captions_are_divided_by_image(tmp_path: Path) -> None:
    corpus = read_corpus(captions(tmp_path / "c"), WORDS, seed=1)
    assert {part: len(texts) for part, texts in corpus.parts.items()} == {"train": 12, "val": 4, "dev": 1, "test": 1}
    assert corpus.vocabulary.decode(corpus.parts["dev"][0]) == ["a", UNKNOWN, "runs", ".", END]
    with pytest.raises(GestaError, match=r"input\.unit=word"):
        read_corpus(tmp_path / "c", TextInputSettings())
    (tmp_path / "c" / "Flickr8k.token.txt").write_text("t0.jpg#0\tA dog .\nno tab\n")
    with pytest.raises(GestaError, match="line 2 is not IMAGE#NUMBER"):
        data.read_captions(tmp_path / "c")
    for name in ("train", "dev", "test"):
        (tmp_path / "c" / f"Flickr_8k.{name}Images.txt").unlink()
    with pytest.raises(GestaError, match="they list the images of each part"):
        data.read_captions(tmp_path / "c")


def test_sentence_pairs(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "p")
    assert data.recognized(folder) == "pairs"
    parts = data.read_pairs(folder)
    assert {part: len(held) for part, held in parts.items()} == {"dev": 1, "test": 1, "train": 2}
    assert parts["train"][1] == {"de": "eine katze", "en": "a cat"}
    settings = PairInputSettings(source="de", target="fr", validation=0.5)
    with pytest.raises(GestaError, match=r"no train\.fr. Available languages: de, en"):
        divide(read(folder), settings, 0)
    with pytest.raises(GestaError, match="learns one language"):
        read_corpus(folder, WORDS)
    (folder / "val.en").write_text("a bird\nand more\n")
    with pytest.raises(GestaError, match=r"val\.de has 1 line and .*val\.en 2"):
        data.read_pairs(folder)


def test_a_stream_runs_through_the_text() -> None:
    text = np.arange(47)
    stream = Stream([text[:20], text[20:]], 3, 4)
    batches = [stream.collate([i]) for i in range(len(stream))]
    inputs, targets = (np.concatenate([b[name] for b in batches]) for name in ("inputs", "targets"))
    np.testing.assert_array_equal(inputs, np.arange(15)[:, None] + np.array([0, 15, 30]))
    np.testing.assert_array_equal(targets, inputs + 1)
    assert [bool(b["first"]) for b in batches] == [True, False, False, False]


def test_a_shifted_stream_is_another_one_each_epoch() -> None:
    stream = Stream([np.arange(47)], 3, 4, shift=True)
    first = stream.collate([0])
    np.testing.assert_array_equal(first["targets"], (first["inputs"] + 1) % 47)
    np.testing.assert_array_equal(first["inputs"], stream.collate([0])["inputs"])
    stream.epoch = 1
    assert not np.array_equal(first["inputs"], stream.collate([0])["inputs"])


def test_every_sentence_comes_once_an_epoch() -> None:
    rng = np.random.default_rng(0)
    texts = [np.append(rng.integers(1, 9, length), 0) for length in rng.integers(0, 12, 50)]
    sentences = Sentences(texts, 4, 0, shuffle=True)
    for sentences.epoch in (0, 1):
        found = []
        for i in range(len(sentences)):
            batch = sentences.collate([i])
            assert (batch["inputs"][0] == 0).all()
            np.testing.assert_array_equal(batch["inputs"][1:], batch["targets"][:-1])
            lengths = batch["mask"].sum(0).astype(int)
            found += [batch["targets"][:n, b].tolist() for b, n in enumerate(lengths)]
        assert sorted(found) == sorted(text.tolist() for text in texts)
