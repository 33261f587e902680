"""Command output for language models."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from gesta.tasks import lines as shared
from gesta.tasks.text.scoring import SHARES
from gesta.words import command

NAMES = {"ngram": "n-gram", "mixed": "both", "network": "network"}


def _rates(metrics: Mapping[str, Any], prefix: str = "") -> str:
    loss, bits, perplexity = (metrics[f"{prefix}{name}"] for name in ("loss", "bits", "perplexity"))
    return f"{loss:.4f} nats, {bits:.4f} bits per token, perplexity {perplexity:.2f}"


def _train(document: Mapping[str, Any]) -> list[str]:
    metrics = document["metrics"]
    if "val_loss" in metrics:
        alone = ", by the network without the n-gram" if document["recipe"]["model"].get("ngram_share") else ""
        lines = [f"loss      {_rates(metrics, 'val_')} on the validation part{alone}"]
    else:
        lines = ["loss      not measured: nothing was held out; the last epoch is kept"]
    lines += [
        f"n-gram    Kneser-Ney of order {metrics['ngram_order']}: {value:.4f} nats per token on {name.split('_')[1]}"
        for name, value in metrics.items()
        if name.startswith("ngram_") and name.endswith("_loss")
    ]
    lines.append(f"OpenVINO  probabilities differ by up to {document['parity']['largest_difference']:.1g}")
    return [*shared.trained(document, lines), f"or        {command('gesta', 'write', document['bundle'])}"]


def _evaluate(document: Mapping[str, Any]) -> list[str]:
    lines = [f"loss      {_rates(document)}"]
    beside = {
        "ngram": f"Kneser-Ney of order {document['ngram_order']} of the same training text",
        "mixed": SHARES,
        "network": "without the n-gram, which is part of the model",
    }
    for kind, what in beside.items():
        if (loss := document.get(f"{kind}_loss")) is not None:
            lines.append(f"{NAMES[kind]:10}{loss:.4f} nats per token, perplexity {math.exp(loss):.2f}: {what}")
    share = f", {document['unknown']:.1%} of them <unk>" if document["unknown"] else ""
    return [*lines, f"tokens    {document['tokens']:,}{share}; engine {document['engine']}"]


def _export(document: Mapping[str, Any]) -> list[str]:
    lines = []
    for artifact in document["artifacts"]:
        parity, measured = artifact["parity"], artifact["measured"]
        lines.append(
            f"{artifact['role']:<8} {artifact['file']}, {measured['bytes']:,} bytes: the same most likely token as "
            f"PyTorch at the end of {parity['top_class_agreement']:.1%} of {parity['clips']} {measured['clips']} "
            "texts; "
            f"probabilities differ by up to {parity['largest_difference']:.2g}"
        )
        lines += shared.faster("token", measured)
    return shared.exported(document, lines, "TEXT")


def _benchmark(document: Mapping[str, Any]) -> list[str]:
    lines = [*shared.benchmark_head(document), "one core, milliseconds: one token at a time, and a whole text at once"]
    table = shared.latency_table(document, shared.times_of(token="token", text="text"))
    rates = [
        f"{r['engine']} {r['precision']}: {1000 / r['token']['p50_ms']:.0f} tokens/s"
        for r in document["latency"]
        if "token" in r
    ]
    return [*lines, *table, *rates]


LINES: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "train": _train,
    "evaluate": _evaluate,
    "export": _export,
    "benchmark": _benchmark,
}
