"""`gesta data prepare`: the cache filled before a training."""

from __future__ import annotations

from typing import Any

from gesta.cli.common import (
    SHOWN_SKIPPED,
    ClusterOption,
    FormatOption,
    JsonFlag,
    ProtocolOption,
    RecipeOption,
    RecordingsArgument,
    SeedOption,
    SetOption,
    command,
    console,
    emit,
    existing,
    jobs_in,
    need,
    progress,
)


def prepare(
    data: RecordingsArgument,
    recipe: RecipeOption = None,
    sets: SetOption = None,
    seed: SeedOption = 0,
    protocol: ProtocolOption = "subject",
    cluster: ClusterOption = None,
    layout: FormatOption = None,
    json: JsonFlag = False,
) -> None:
    """Preprocess clips before training.

    Fills the cache with the clips that gesta train with the same options reads, so that training decodes nothing. With
    --cluster, keep the cache in a shared folder (GESTA_CACHE). If you stop it, the same command continues.

    Example:
      gesta data prepare my_gestures --recipe auto --cluster local:4
    """
    need("train", "torch", "lightning")
    from gesta.experiments.prepare import folder_of, prepare_data

    record = folder_of(existing(data, "data folder"), recipe)
    with jobs_in(record, cluster, "data prepare"), progress("preparing clips") as tick:
        document = {
            "data": str(data),
            **prepare_data(data, recipe, sets=sets or (), layout=layout, seed=seed, protocol=protocol, progress=tick),
        }
    for problem in document["skipped"][:SHOWN_SKIPPED]:
        console.print(f"{problem['path']}: {problem['reason']}", markup=False, highlight=False, soft_wrap=True)
    if record.exists():
        document["record"] = str(record)
    emit(document, _text(document), json)


def _text(document: dict[str, Any]) -> str:
    from gesta.cli.cache import human_size

    cache = document["cache"]
    lines = [
        f"clips     {document['clips']}, of them {document['prepared']} prepared now, in {document['seconds']:.1f} s",
        f"cache     {cache['root']}, {human_size(cache['bytes'])} of at most {human_size(cache['limit_bytes'])}",
    ]
    if document["skipped"]:
        lines.append(f"skipped   {len(document['skipped'])}")
    if "record" in document:
        lines.append(f"jobs      {command('gesta', 'jobs', document['record'])}")
    lines.append(f"next      {command('gesta', 'train', document['data'])}")
    return "\n".join(lines)
