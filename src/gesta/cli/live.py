"""`gesta live`: a model at work on a camera, a file or a stream of the net."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from gesta.cli.common import BundleArgument, DeviceOption, EngineOption, console, json_line
from gesta.cli.help import OUTPUT, SOME
from gesta.schema import GestaError
from gesta.untrusted import printable

if TYPE_CHECKING:
    from gesta.decoder import GestureEvent
    from gesta.live.actions import Actions
    from gesta.live.recording import Recorded
    from gesta.live.sources import Source


SourceOption = Annotated[str, typer.Option("--source", help="Number of a camera, a file, or an address (rtsp://...).")]
Do = Annotated[
    list[str] | None,
    typer.Option("--do", metavar="LABEL=COMMAND", help="Run a command whenever this gesture is seen. Repeatable."),
]
PreviewOption = Annotated[
    bool, typer.Option("--preview", help="Show the picture on a web page, for this computer only.")
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="P",
        help="Probability above which a gesture is reported, 0.05 to 1.",
        min=0.05,
        max=1.0,
    ),
]
Keys = Annotated[
    bool,
    typer.Option(
        "--keys",
        help="Models of whole videos: press Enter to start and end a gesture, instead of by motion.",
        rich_help_panel=SOME,
    ),
]
Record = Annotated[
    Path | None, typer.Option("--record", metavar="FOLDER", help="Keep the video and its events (index.csv) here.")
]
Seconds = Annotated[float | None, typer.Option("--seconds", metavar="N", help="Stop after this many seconds.", min=0.0)]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document per event and nothing else.", rich_help_panel=OUTPUT)
]


def live(
    bundle: BundleArgument,
    source: SourceOption = "0",
    do: Do = None,
    preview: PreviewOption = False,
    port: Annotated[int, typer.Option("--port", help="Port of the preview; 0 takes a free one.", min=0, max=65535)] = 0,
    threshold: Threshold = None,
    keys: Keys = False,
    record: Record = None,
    seconds: Seconds = None,
    engine: EngineOption = None,
    device: DeviceOption = "auto",
    json: Json = False,
) -> None:
    """Recognize gestures as they happen, from a camera, file or stream.

    Prints one line per event until the source ends or you press Ctrl-C, then latency and dropped frames. Only the
    newest frames are used, so it never falls behind. A camera or stream that is lost is opened again. Nothing is
    stored without --record.

    Examples:
      gesta live demo
      gesta live runs/mine/bundle --do "wave=notify-send Hello"
    """
    from gesta.engines.base import Placement
    from gesta.live.actions import parsed
    from gesta.live.preview import Preview
    from gesta.live.session import Summary, session
    from gesta.tasks import catalog
    from gesta.tasks.base import need

    task, opened = catalog.of_bundle(bundle)
    follow = need(task, "follow", "gesta live")
    predictor = task.load(opened, Placement(engine, device))
    follower = follow(predictor, threshold)
    if keys:
        by_keys(follower, task.title)
    actions = parsed(do or (), getattr(predictor.manifest, "gestures", None) or predictor.manifest.labels)
    taken, follower = matched(task, predictor, follower, source)
    for line in actions.lines:
        console.print(f"For {escape(line)}", highlight=False, soft_wrap=True)
    recorded = None if record is None else kept(taken, record)
    summary = Summary()
    with ExitStack() as stack:
        watch: dict[str, Any] = {}
        if preview:
            page = stack.enter_context(Preview(port))
            watch["watch"] = page.show
            console.print(f"Preview at {page.address}", highlight=False)
        console.print("Watching. Press Ctrl-C to stop.", highlight=False)
        tell_all(session(recorded or taken, follower, summary, seconds=seconds, **watch), actions, recorded, json)
        console.print(summary.line, highlight=False, soft_wrap=True)


def tell_all(events: Iterator[GestureEvent], actions: Actions, recorded: Recorded | None, json: bool) -> None:
    """Each event as it comes: told, acted upon, and kept where that is asked for. Ctrl-C ends it."""
    try:
        for event in events:
            tell(event, json)
            actions.run(event.label)
            if recorded is not None:
                recorded.keep(event)
    except KeyboardInterrupt:
        pass
    finally:
        if recorded is not None:
            recorded.finish()
            console.print(f"Recorded to {recorded.path}", highlight=False, soft_wrap=True)


def tell(event: GestureEvent, json: bool) -> None:
    """One event on stdout."""
    from gesta.tasks.events_text import event_document

    sys.stdout.write((json_line(event_document(event)) if json else printable(event.line)) + "\n")
    sys.stdout.flush()


def by_keys(follower: Any, title: str) -> None:
    """Segments are opened and closed at the terminal. Raises GestaError (usage) for a model that has none."""
    from gesta.live.keys import KeyGate

    if not hasattr(follower, "gate"):
        raise GestaError(
            f"--keys is for models of whole videos; {title} finds gestures on its own. Leave it out.", usage=True
        )
    follower.gate = KeyGate()
    console.print("Press Enter to start a gesture and Enter again to end it.", highlight=False)


def kept(source: Source, folder: Path) -> Recorded:
    """The source with its video kept in a folder. Raises GestaError (usage) for stored skeletons."""
    from gesta.live.recording import Recorded
    from gesta.live.sources import Video

    if not isinstance(source, Video):
        raise GestaError("--record keeps video, but the source is a file of skeletons. Leave it out.", usage=True)
    return Recorded(source, folder)


def matched(task: Any, predictor: Any, follower: Any, source: str) -> tuple[Source, Any]:
    """The source, and the follower that takes what it gives. Raises GestaError where they do not go together."""
    from gesta.live.sources import Played, Video
    from gesta.live.tracked import tracked

    if follower.takes == "rgb":
        return Video(source), follower
    path = Path(source)
    if path.is_file() and path.suffix.lower() in (".npy", ".csv", ".txt", ".json", ".skeleton"):
        return Played(task.play(predictor, path)), follower
    return Video(source), tracked(follower, predictor.manifest.space)
