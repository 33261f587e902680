"""`gesta track`: hands and bodies in every video of a data set, as skeleton files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gesta.cli.common import FormatOption, JsonFlag, command, console, emit, existing, progress

SHOWN_PROBLEMS = 10


def track(
    data: Annotated[Path, typer.Argument(help="Data folder, or a video.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder for the skeletons; a stopped run resumes in it.")],
    what: Annotated[str, typer.Option("--what", help="hands, pose or both.")] = "both",
    hand_model: Annotated[str, typer.Option("--hand-model", help="full, or lite: quicker, less exact.")] = "full",
    max_hands: Annotated[int, typer.Option("--max-hands", min=1, max=2, help="How many hands are looked for.")] = 2,
    mask: Annotated[bool, typer.Option("--mask", help="The person's mask as well, as a gray video.")] = False,
    static: Annotated[bool, typer.Option("--static", help="Every frame for itself: slower, no smoothing.")] = False,
    smooth: Annotated[bool, typer.Option("--smooth/--no-smooth", help="One-Euro filter over time.")] = True,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes; two where the computer has two cores.")
    ] = None,
    format: FormatOption = None,
    json: JsonFlag = False,
) -> None:
    """Find hands and bodies in plain RGB videos; write skeleton files and an index.csv to train on.

    The networks come from `gesta fetch trackers`. Recordings that are finished are not tracked again.
    """
    from gesta.sources.catalog import read
    from gesta.trackers.dataset import track as run

    listing = read(existing(data, "data folder"), format)
    settings = {
        "what": what,
        "hand_model": hand_model,
        "max_hands": max_hands,
        "static": static,
        "smooth": smooth,
        "mask": mask,
    }
    with progress("tracking recordings") as tick:
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
        f"recordings  {document['recordings']}, of them {document['resumed']} tracked before",
        f"frames      {document['frames']}; " + ", ".join(f"{shares[name]:.0%} with {name}" for name in shown),
        f"samples     {document['rows']} in {Path(document['out']) / 'index.csv'}",
    ]
    if document["problems"]:
        lines.append(f"problems    {len(document['problems'])}")
    lines.append(f"next        {command('gesta', 'data', 'inspect', document['out'])}")
    return "\n".join(lines)
