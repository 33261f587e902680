"""Comparison of word vectors learned from the user's text by skip-gram and CBOW, next to those before training."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from gesta.experiments.parallel import Job, key_of
from gesta.experiments.table import Experiment, Line, Plan, Wanted, mean, number, spread
from gesta.schema import GestaError

MINIMUM_COUNT = 5
QUESTIONS = "questions"
"""A file of tests whose name starts like this has analogies; other files have rated pairs."""


@dataclass(frozen=True)
class EmbeddingRow:
    """`method` None: the vectors before training, which any method must beat."""

    label: str
    method: Literal["skip_gram", "cbow"] | None
    cost: float = 1.0


@dataclass(frozen=True)
class EmbeddingTable:
    title: str
    source: str
    rows: tuple[EmbeddingRow, ...]


@dataclass(frozen=True)
class EmbeddingScale:
    """Passes over the text, and minutes for skip-gram of a million words on one core."""

    epochs: int
    minutes: float
    seeds: int


EMBEDDING_TABLES = {
    "tutorial/embeddings": EmbeddingTable(
        "word vectors: loss of a prediction, rank correlation with rated pairs of words, analogies solved",
        "-",
        (
            EmbeddingRow("before training", None, 0.1),
            EmbeddingRow("skip-gram", "skip_gram"),
            EmbeddingRow("CBOW", "cbow", 0.4),
        ),
    )
}


class EmbeddingTables(Experiment):
    """`data` of its plans: the user's text."""

    scales: Mapping[str, Any] = {"quick": EmbeddingScale(1, 0.5, 3), "full": EmbeddingScale(5, 2.5, 5)}

    def data(self, wanted: Wanted) -> tuple[Path, str]:
        if wanted.data is None:
            raise GestaError(
                f"{self.name} needs text: give --data, a file with one sentence per line or a folder of captions.",
                usage=True,
            )
        return wanted.data, f"Data: {wanted.data.name}, scale {wanted.scale}."

    def plan(self, data: Path, note: str, wanted: Wanted) -> Plan:
        """Returns the plan. `--set tests=FOLDER` scores the vectors on the tests in a folder.

        Raises GestaError (usage) for any other --set, and GestaError for too little text.
        """
        from gesta.tasks.text.data import sentences_of

        tests, scale, lines = _tests(wanted.sets), self.scale_of(wanted), []
        sentences = sentences_of(data)
        if max(Counter(word for sentence in sentences for word in sentence).values(), default=0) < MINIMUM_COUNT:
            raise GestaError(
                f"{data}: no word occurs {MINIMUM_COUNT} times or more, too few to learn from. Give more text."
            )
        content = key_of(*(" ".join(sentence) for sentence in sentences))
        for row in self.table.rows:
            for seed in range(self.seeds_of(wanted)):
                epochs = scale.epochs if row.method else 0
                arguments = {"data": data, "method": row.method, "epochs": epochs, "seed": seed, "tests": tests}
                key = key_of(row.method, epochs, seed, content, *(path.read_bytes().hex() for path in tests))
                title, result = f"{row.label}, seed {seed}", wanted.out / "rows" / f"{key}.json"
                place = "gesta.experiments.embedding_tables:run_embedding_trial"
                lines.append(Line(row.label, Job(title, place, arguments, key, result), row.cost))
        return Plan((tuple(lines),), note, scale.minutes, wanted.workers)

    def line(self, row: EmbeddingRow, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        names = results[0]["tests"] if results else {}
        return {
            "label": row.label,
            "loss": [result["loss"] for result in results],
            "tests": {
                name: {**names[name], "value": [result["tests"][name]["value"] for result in results]} for name in names
            },
            "words_per_second": mean(result["words_per_second"] for result in results if row.method),
            "words": results[0]["words"] if results else None,
        }

    def headings_of(self, document: Mapping[str, Any]) -> Sequence[str]:
        names: Mapping[str, Any] = next((row["tests"] for row in document["rows"] if row["tests"]), {})
        tests = [f"{name} ({test['covered']} of {test['total']})" for name, test in names.items()]
        return ("vectors", "loss", *tests, "words/s")

    def cells(self, row: Mapping[str, Any]) -> list[str]:
        tests = [spread(test["value"], 3) for test in row["tests"].values()]
        return [row["label"], spread(row["loss"], 3), *tests, number(row["words_per_second"], 0)]

    def told(self, result: Mapping[str, Any]) -> str:
        return f"loss {result['loss']:.3f}"


def _tests(sets: Sequence[str]) -> list[Path]:
    """Returns the files in the folder of `tests=FOLDER`. Raises GestaError (usage) for other settings."""
    if other := [change for change in sets if not change.startswith("tests=")]:
        raise GestaError(f"--set {other[0]}: word vectors have no recipe; only tests=FOLDER can be set.", usage=True)
    found: list[Path] = []
    for change in sets:
        folder = change.partition("=")[2]
        found = sorted(path for path in Path(folder).glob("*") if folder and path.suffix in (".tsv", ".txt"))
        if not found:
            raise GestaError(
                f"--set {change}: no tests there. Give a folder of rated pairs (*.tsv or *.txt, WORD<tab>WORD<tab>"
                f"RATING) and analogies ({QUESTIONS}*.txt).",
                usage=True,
            )
    return found


def run_embedding_trial(
    data: Path, method: Literal["skip_gram", "cbow"] | None, epochs: int, seed: int, tests: Sequence[Path]
) -> dict[str, Any]:
    """Trains vectors; returns their loss and their scores in the tests."""
    from gesta.tasks.text.data import sentences_of
    from gesta.tasks.text.fit_vectors import VectorSettings, fit_vectors, known_words, mean_nats
    from gesta.tasks.text.vectors import analogy_test, similarity_test

    started = time.monotonic()
    vocabulary, texts = known_words(sentences_of(data), MINIMUM_COUNT)
    settings = VectorSettings(method or "skip_gram", epochs=epochs)
    begun = time.monotonic()
    vectors, model = fit_vectors(texts, vocabulary, settings, seed=seed)
    count = sum(map(len, texts)) * epochs
    rate = count / (time.monotonic() - begun)
    scores = {
        path.stem: analogy_test(vectors, path)["all"]
        if path.name.startswith(QUESTIONS)
        else similarity_test(vectors, path)
        for path in tests
    }
    return {
        "loss": mean_nats(model, texts, settings),
        "tests": {name: asdict(score) for name, score in scores.items()},
        "words_per_second": rate,
        "words": len(vocabulary),
        "seconds": time.monotonic() - started,
    }
