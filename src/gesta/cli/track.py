"""`gesta track`: hands and bodies in every video of a data set, as skeleton files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gesta.cli.common import (
    ClusterOption,
    FormatOption,
    JsonFlag,
    command,
    console,
    emit,
    existing,
    jobs_in,
    progress,
)
from gesta.cli.help import MACHINE

SHOWN_PROBLEMS = 10


def track(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Data folder or video.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the skeletons.")],
    what: Annotated[str, typer.Option("--what", help="What to find: hands, pose or both.")] = "both",
    hand_model: Annotated[
        str, typer.Option("--hand-model", help="full, or lite, which is faster and less exact.")
    ] = "full",
    max_hands: Annotated[
        int, typer.Option("--max-hands", min=1, max=2, help="Number of hands to look for, 1 or 2.")
    ] = 2,
    mask: Annotated[bool, typer.Option("--mask", help="Also write the person's mask, as a gray video.")] = False,
    static: Annotated[
        bool, typer.Option("--static", help="Treat each frame on its own: slower, and without smoothing.")
    ] = False,
    smooth: Annotated[bool, typer.Option("--smooth/--no-smooth", help="Smooth over time (One-Euro filter).")] = True,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            metavar="N",
            help="Number of processes. (default: 2 if there are two cores)",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    cluster: ClusterOption = None,
    format: FormatOption = None,
    json: JsonFlag = False,
) -> None:
    """Find hands and bodies in videos and store them as skeletons.

    Writes skeleton files and an index.csv to train on. Run gesta fetch trackers first. If you stop it, the same
    command continues.

    Example:
      gesta track my_videos --out skeletons
    """
    from gesta.experiments.track import track as run
    from gesta.sources.catalog import read

    listing = read(existing(data, "data folder"), format)
    settings = {
        "what": what,
        "hand_model": hand_model,
        "max_hands": max_hands,
        "static": static,
        "smooth": smooth,
        "mask": mask,
    }
    with jobs_in(out, cluster, "track"), progress("tracking recordings") as tick:
        tracked = run(listing, out, settings, workers=workers, progress=tick)
    for problem in tracked.problems[:SHOWN_PROBLEMS]:
        console.print(str(problem), markup=False, highlight=False, soft_wrap=True)
    document = {"out": str(out), "what": what, **tracked.to_json()}
    emit(document, _text(document), json)


def _text(document: dict[str, Any]) -> str:
    from gesta.trackers.joints import SOUGHT

    shares = {"a person": document["person_share"], "a hand": document["hand_share"]}
    sought = SOUGHT[document["what"]]
    shown = ("a person",) * sought.body + ("a hand",) * sought.hands
    lines = [
        f"recordings  {document['recordings']}, {document['resumed']} of them tracked before",
        f"frames      {document['frames']}; " + ", ".join(f"{shares[name]:.0%} with {name}" for name in shown),
        f"samples     {document['rows']} in {Path(document['out']) / 'index.csv'}",
    ]
    if document["problems"]:
        lines.append(f"problems    {len(document['problems'])}")
    lines.append(f"next        {command('gesta', 'data', 'inspect', document['out'])}")
    return "\n".join(lines)
