"""`gesta embed`: word vectors learned from text, and questions to vectors."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from gesta.cli.common import JsonFlag, SeedOption, console, emit, existing, group, need
from gesta.cli.help import Command
from gesta.schema import GestaError
from gesta.words import choose

app = group("Train, query and test word vectors.")
VectorFile = Annotated[
    Path, typer.Argument(metavar="VECTORS", help="GloVe or word2vec file, text or binary, also .gz.")
]
Word = Annotated[str, typer.Argument(help="A word.")]
CountOption = Annotated[int, typer.Option("--count", help="Number of words to list.", min=1)]
METHODS = ("skip_gram", "cbow")


@app.command(cls=Command)
def train(
    text: Annotated[
        list[Path],
        typer.Argument(metavar="TEXT", help="Text files with one sentence per line, or folders of captions."),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="File for the vectors; .bin gives word2vec's binary format.")
    ],
    method: Annotated[str, typer.Option("--method", help="skip_gram or cbow.")] = "skip_gram",
    width: Annotated[int, typer.Option("--width", help="Size of a vector.", min=1)] = 100,
    window: Annotated[int, typer.Option("--window", help="Context: at most this many words on each side.", min=1)] = 5,
    negative: Annotated[int, typer.Option("--negative", help="Negative samples per prediction.", min=1)] = 5,
    epochs: Annotated[int, typer.Option("--epochs", help="Passes over the text.", min=1)] = 5,
    minimum_count: Annotated[
        int, typer.Option("--minimum-count", help="Leave out words that are rarer than this.", min=1)
    ] = 5,
    seed: SeedOption = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing --out.")] = False,
    json: JsonFlag = False,
) -> None:
    """Train word vectors by skip-gram or CBOW with negative sampling.

    Words are used in lower case.

    Example:
      gesta embed train text.txt --out vectors.bin --width 50
    """
    need("train", "torch")
    choose("method", method, METHODS)
    if out.is_dir() or (out.exists() and not overwrite):
        mend = "" if out.is_dir() else ", or replace it: --overwrite"
        raise GestaError(f"{out}: already exists. Choose another --out{mend}.", usage=True)
    from gesta.tasks.text.data import sentences_of
    from gesta.tasks.text.fit_vectors import VectorSettings, fit_vectors, known_words
    from gesta.tasks.text.vectors import WordVectors, write_vectors

    sentences = [sentence for path in text for sentence in sentences_of(existing(path, "text"))]
    vocabulary, texts = known_words(sentences, minimum_count)
    settings = VectorSettings(method, width, window, negative, epochs=epochs)  # type: ignore[arg-type]

    def progress(share: float) -> None:
        console.print(f"{share:.0%} of {epochs} epochs", highlight=False)

    vectors, _ = fit_vectors(texts, vocabulary, settings, seed=seed, progress=None if json else progress)
    kept = [i for i, word in enumerate(vectors.words) if word not in (vocabulary.tokens[0], vocabulary.tokens[1])]
    vectors = WordVectors(tuple(vectors.words[i] for i in kept), vectors.vectors[kept])
    write_vectors(out, vectors, binary=out.suffix == ".bin")
    document = {"out": str(out), "words": len(vectors), "width": width, "tokens": sum(map(len, texts))}
    emit(document, Text(f"vectors   {out}: {len(vectors)} words, from {document['tokens']:,} in the text"), json)


@app.command(cls=Command)
def near(vectors: VectorFile, word: Word, count: CountOption = 10, json: JsonFlag = False) -> None:
    """List the words most similar to a word.

    Example:
      gesta embed near vectors.bin hand
    """
    from gesta.tasks.text.vectors import read_vectors

    _listed(read_vectors(existing(vectors, "file")).nearest(word, count), json)


@app.command(cls=Command)
def analogy(vectors: VectorFile, a: Word, b: Word, c: Word, count: CountOption = 10, json: JsonFlag = False) -> None:
    """Find the word that is to C as B is to A.

    Example:
      gesta embed analogy vectors.bin man king woman
    """
    from gesta.tasks.text.vectors import read_vectors

    _listed(read_vectors(existing(vectors, "file")).analogy(a, b, c, count), json)


@app.command(cls=Command)
def similarity(vectors: VectorFile, first: Word, second: Word, json: JsonFlag = False) -> None:
    """Print the cosine similarity of two words.

    Example:
      gesta embed similarity vectors.bin hand finger
    """
    from gesta.tasks.text.vectors import read_vectors

    value = read_vectors(existing(vectors, "file")).similarity(first, second)
    emit({"first": first, "second": second, "cosine": value}, f"{value:.4f}", json)


@app.command(cls=Command)
def test(
    vectors: VectorFile,
    pairs: Annotated[
        list[Path] | None,
        typer.Option("--pairs", metavar="FILE", help="Rated pairs, lines of WORD<tab>WORD<tab>RATING. Repeatable."),
    ] = None,
    questions: Annotated[
        Path | None, typer.Option("--questions", metavar="FILE", help="Analogies in Google's format.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Test word vectors on pairs of words that people rated, and on analogies.

    Shows how well the order of the pairs by cosine matches their order by people (Spearman's rank correlation), and the
    share of analogies that the vectors solve.

    Example:
      gesta embed test vectors.bin --pairs ratings.tsv
    """
    from gesta.tasks.text.vectors import analogy_test, read_vectors, similarity_test

    if not pairs and questions is None:
        raise GestaError("Nothing to test on. Give --pairs FILE, --questions FILE, or both.", usage=True)
    held = read_vectors(existing(vectors, "file"))
    found = {path.name: similarity_test(held, existing(path, "file")) for path in pairs or ()}
    lines = [f"{name}  Spearman {s.value:.4f} on {s.covered} of {s.total} pairs" for name, s in found.items()]
    if questions is not None:
        scores = analogy_test(held, existing(questions, "file"))
        lines += [f"{name}  {s.value:.1%} of {s.covered} covered of {s.total}" for name, s in scores.items()]
        found |= {f"{questions.name}: {name}": score for name, score in scores.items()}
    document = {name: _plain(asdict(score)) for name, score in found.items()}
    emit(document, Text("\n".join(lines)), json)


def _plain(score: dict[str, Any]) -> dict[str, Any]:
    """null instead of NaN, which JSON has not."""
    return {name: None if value != value else value for name, value in score.items()}


def _listed(found: list[tuple[str, float]], json: bool) -> None:
    document = [{"word": word, "cosine": cosine} for word, cosine in found]
    emit(document, Text("\n".join(f"{cosine:.4f}  {word}" for word, cosine in found)), json)
