"""`gesta data pack`: preprocessed clips in few large shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gesta.cli.common import (
    FormatOption,
    JsonFlag,
    RecipeOption,
    RecordingsArgument,
    SetOption,
    command,
    emit,
    existing,
    need,
    say_plain,
)
from gesta.progress import bar
from gesta.schema import usable

ShardSize = Annotated[
    str, typer.Option("--shard-size", metavar="SIZE", help="Start a new shard at this size, such as 256M.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the split; auto values come from its training part.", min=0)]


def pack(
    data: RecordingsArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the shards.")],
    recipe: RecipeOption = None,
    sets: SetOption = None,
    shard_size: ShardSize = "1G",
    seed: Seed = 0,
    layout: FormatOption = None,
    json: JsonFlag = False,
) -> None:
    """Preprocess clips for a recipe and store them in a few large files.

    Training on these shards reads few files and decodes no video. They are tar files in WebDataset's layout, with an
    index and SHA256SUMS, which other programs can read. If you stop it, the same command continues.

    Examples:
      gesta data pack my_gestures --out packed
      gesta train packed
    """
    need("train", "torch", "lightning", "filelock")
    existing(data, "data folder")
    from gesta.cli.cache import human_size, parse_size
    from gesta.experiments import train as flow
    from gesta.tasks import base
    from gesta.tasks.lines import skipped

    size = parse_size(shard_size, "--shard-size", 1)
    task = flow.task_of(data, recipe, layout)
    pack_with = base.need(task, "pack", "gesta data pack")
    chosen = flow.recipe_of(task, recipe, sets or ())
    listing = usable(task.read(data, layout))
    parts = task.split(listing, seed, chosen.model_dump())

    def told(notes: list[str]) -> None:
        for note in notes:
            say_plain(f"  {note}")

    with flow.locked(out, "packing"), bar(f"packing {len(listing.samples)} clips") as tick:
        done = pack_with(listing, parts, chosen, out, size, tick, told)
    problems = [{"path": p.path, "kind": p.kind, "reason": p.reason} for p in (*listing.problems, *done.skipped)]
    document = {
        "out": str(out),
        "clips": done.clips,
        "new": done.new,
        "shards": done.shards,
        "bytes": done.bytes,
        "skipped": problems,
    }
    how = [*([] if recipe is None else ["--recipe", recipe]), *(word for one in sets or () for word in ("--set", one))]
    lines = [
        f"clips     {done.clips} in {out} ({done.new} handled by this run)",
        f"shards    {done.shards}, {human_size(done.bytes)}",
        *skipped(problems),
        f"next      {command('gesta', 'train', out, *how)}",
    ]
    emit(document, "\n".join(lines), json)
