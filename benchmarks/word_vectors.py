"""Compares word vectors with those of gensim, on the same text with the same settings.

    python benchmarks/word_vectors.py TEXT... --tests FOLDER [--seeds 5] [--method skip_gram]

TEXT: files with one sentence per line, or a folder of captions. FOLDER contains wordsim353.tsv, simlex999.txt and
questions-words.txt. Prints for each seed: the mean loss per prediction over the same windows and negatives, Spearman's
correlation on WordSim-353 and SimLex-999, analogies, and words per second on one thread; also for the initial vectors.
gensim is not a dependency of gesta: pip install gensim.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from gesta.models.word_vectors import NegativeSampling
from gesta.tasks.text.data import sentences_of
from gesta.tasks.text.fit_vectors import VectorSettings, fit_vectors, known_words, mean_nats
from gesta.tasks.text.vectors import WordVectors, analogy_test, similarity_test
from gesta.tasks.text.vocabulary import UNKNOWN, Vocabulary


def by_gensim(
    sentences: list[list[str]], vocabulary: Vocabulary, settings: VectorSettings, seed: int
) -> NegativeSampling:
    from gensim.models import Word2Vec

    known = [[word for word in sentence if word in vocabulary] for sentence in sentences]
    order = np.random.default_rng(seed).permutation(len(known))  # gensim keeps it, and would end with the last text
    model = Word2Vec(
        [known[i] for i in order],
        vector_size=settings.width,
        window=settings.window,
        negative=settings.negative,
        ns_exponent=settings.exponent,
        sample=settings.sample,
        epochs=settings.epochs,
        alpha=settings.rate,
        min_alpha=settings.last_rate,
        sg=int(settings.method == "skip_gram"),
        cbow_mean=1,
        min_count=1,
        workers=1,
        seed=seed,
    )
    tables = NegativeSampling(len(vocabulary), settings.width, seed)
    for number, word in enumerate(vocabulary.tokens):
        if word in model.wv:
            tables.inputs[number] = torch.from_numpy(model.wv[word].copy())
            tables.outputs[number] = torch.from_numpy(model.syn1neg[model.wv.key_to_index[word]].copy())
    return tables


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path, nargs="+")
    parser.add_argument("--tests", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--method", choices=["skip_gram", "cbow"], default="skip_gram")
    parser.add_argument("--batch", type=int, default=VectorSettings.batch)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sentences = [sentence for path in options.text for sentence in sentences_of(path)]
    vocabulary, texts = known_words(sentences, minimum_count=5)
    settings = VectorSettings(method=options.method, batch=options.batch)
    tokens = sum(map(len, texts)) * settings.epochs
    print(f"{len(texts)} sentences, {tokens // settings.epochs} words, vocabulary of {len(vocabulary)}, {settings}")
    found: dict[str, list[list[float]]] = {}
    for seed in range(options.seeds):
        for name in ("start", "gesta", "gensim"):
            started = time.perf_counter()
            if name == "start":
                model = NegativeSampling(len(vocabulary), settings.width, seed)
            elif name == "gesta":
                model = fit_vectors(texts, vocabulary, settings, seed=seed)[1]
            else:
                model = by_gensim(sentences, vocabulary, settings, seed)
            rate = tokens / (time.perf_counter() - started) if name != "start" else float("nan")
            vectors = WordVectors(vocabulary.tokens, model.inputs.numpy())
            scores = [similarity_test(vectors, options.tests / f) for f in ("wordsim353.tsv", "simlex999.txt")]
            scores.append(analogy_test(vectors, options.tests / "questions-words.txt")["all"])
            found.setdefault(name, []).append([mean_nats(model, texts, settings), *(s.value for s in scores), rate])
            covered = ", ".join(f"{s.covered} of {s.total}" for s in scores)
            print(
                f"seed {seed} {name:6}",
                " ".join(f"{v:.4g}" for v in found[name][-1]),
                f"(covered {covered})",
                flush=True,
            )
    print(f"{'':8}loss, WordSim-353, SimLex-999, analogies, words/s: mean +- deviation over seeds, without {UNKNOWN}")
    for name, rows in found.items():
        mean, spread = np.mean(rows, 0), np.std(rows, 0)
        print(f"{name:8}" + ", ".join(f"{m:.4g} +- {s:.2g}" for m, s in zip(mean, spread, strict=True)))


if __name__ == "__main__":
    main()
