"""`gesta embed`: word vectors learned from text, and questions to vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from gesta.cli.common import JsonFlag, SeedOption, console, emit, existing, need
from gesta.words import choose

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True)
VectorFile = Annotated[Path, typer.Argument(help="GloVe or word2vec vectors, text or binary, also .gz.")]
CountOption = Annotated[int, typer.Option("--count", help="Words to list.", min=1)]
METHODS = ("skip_gram", "cbow")


@app.command()
def train(
    text: Annotated[list[Path], typer.Argument(help="Text files, a sentence a line, or folders of captions.")],
    out: Annotated[Path, typer.Option("--out", help="File for the vectors; .bin is word2vec's binary format.")],
    method: Annotated[str, typer.Option("--method", help="skip_gram or cbow.")] = "skip_gram",
    width: Annotated[int, typer.Option("--width", help="Numbers of a vector.", min=1)] = 100,
    window: Annotated[int, typer.Option("--window", help="Words to each side at most.", min=1)] = 5,
    negative: Annotated[int, typer.Option("--negative", help="Words drawn for each prediction.", min=1)] = 5,
    epochs: Annotated[int, typer.Option("--epochs", min=1)] = 5,
    minimum_count: Annotated[int, typer.Option("--minimum-count", help="Rarer words are left out.", min=1)] = 5,
    seed: SeedOption = 0,
    json: JsonFlag = False,
) -> None:
    """Learn word vectors by skip-gram or CBOW with negative sampling; words are taken in lower case."""
    need("train", "torch")
    choose("method", method, METHODS)
    from gesta.tasks.text.data import sentences_of
    from gesta.tasks.text.fit_vectors import VectorSettings, fit_vectors
    from gesta.tasks.text.vectors import WordVectors, write_vectors
    from gesta.tasks.text.vocabulary import words

    sentences = [sentence for path in text for sentence in sentences_of(existing(path, "text"))]
    vocabulary = words(sentences, minimum_count=minimum_count)
    encoded = [vocabulary.encode(sentence) for sentence in sentences]
    texts = [one[one != vocabulary.unknown] for one in encoded]
    settings = VectorSettings(method, width, window, negative, epochs=epochs)  # type: ignore[arg-type]

    def progress(share: float) -> None:
        console.print(f"{share:.0%} of {epochs} epochs", highlight=False)

    vectors, _ = fit_vectors(texts, vocabulary, settings, seed=seed, progress=None if json else progress)
    kept = [i for i, word in enumerate(vectors.words) if word not in (vocabulary.tokens[0], vocabulary.tokens[1])]
    vectors = WordVectors(tuple(vectors.words[i] for i in kept), vectors.vectors[kept])
    write_vectors(out, vectors, binary=out.suffix == ".bin")
    document = {"out": str(out), "words": len(vectors), "width": width, "tokens": sum(map(len, texts))}
    emit(document, Text(f"vectors   {out}: {len(vectors)} words, from {document['tokens']:,} in the text"), json)


@app.command()
def near(vectors: VectorFile, word: str, count: CountOption = 10, json: JsonFlag = False) -> None:
    """The words whose vectors are nearest to a word's."""
    from gesta.tasks.text.vectors import read_vectors

    _listed(read_vectors(existing(vectors, "file")).nearest(word, count), json)


@app.command()
def analogy(vectors: VectorFile, a: str, b: str, c: str, count: CountOption = 10, json: JsonFlag = False) -> None:
    """What is to C as B is to A: man king woman -> queen."""
    from gesta.tasks.text.vectors import read_vectors

    _listed(read_vectors(existing(vectors, "file")).analogy(a, b, c, count), json)


@app.command()
def similarity(vectors: VectorFile, first: str, second: str, json: JsonFlag = False) -> None:
    """The cosine of the angle between two words' vectors."""
    from gesta.tasks.text.vectors import read_vectors

    value = read_vectors(existing(vectors, "file")).similarity(first, second)
    emit({"first": first, "second": second, "cosine": value}, f"{value:.4f}", json)


@app.command()
def test(
    vectors: VectorFile,
    pairs: Annotated[list[Path] | None, typer.Option("--pairs", help="Lines of WORD<tab>WORD<tab>RATING.")] = None,
    questions: Annotated[Path | None, typer.Option("--questions", help="Analogies in Google's format.")] = None,
    json: JsonFlag = False,
) -> None:
    """Rank correlation with people's ratings of pairs, and the share of analogies answered."""
    from dataclasses import asdict

    from gesta.tasks.text.vectors import analogy_test, read_vectors, similarity_test

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
