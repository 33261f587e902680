"""`gesta live`: a model at work on a camera, a file or a stream of the net."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from gesta.cli.common import DeviceOption, EngineOption, console, json_line
from gesta.schema import GestaError

if TYPE_CHECKING:
    from gesta.decoding import GestureEvent
    from gesta.live.actions import Actions
    from gesta.live.recording import Recorded
    from gesta.live.sources import Source


def live(
    bundle: Annotated[str, typer.Argument(help="Bundle (folder or zip), or demo.", show_default=False)],
    source: Annotated[str, typer.Option("--source", help="Camera's number, file, or address (rtsp://...).")] = "0",
    do: Annotated[
        list[str] | None, typer.Option("--do", help="'label=command': runs for each such event. Repeatable.")
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Serve a page with the picture on this machine.")] = False,
    port: Annotated[int, typer.Option("--port", help="Of the preview; 0: any free one.", min=0, max=65535)] = 0,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Probability that opens an event.", min=0.05, max=1.0)
    ] = None,
    keys: Annotated[
        bool, typer.Option("--keys", help="Of models of whole videos: Enter begins a segment and ends it, not motion.")
    ] = False,
    record: Annotated[
        Path | None, typer.Option("--record", help="Keep the video and its events (index.csv) in this folder.")
    ] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", help="End after so long.", min=0.0)] = None,
    engine: EngineOption = None,
    device: DeviceOption = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON document an event on stdout, nothing else.")] = False,
) -> None:
    """Events as they happen, one a line, until the source ends or Ctrl-C. At the end: latency and dropped frames.

    Only the newest frames are looked at. A camera or stream that vanishes is opened again. Nothing is stored, unless
    --record asks for it.
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
        console.print("Following; Ctrl-C ends.", highlight=False)
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
            console.print(f"Kept {recorded.path}", highlight=False, soft_wrap=True)


def tell(event: GestureEvent, json: bool) -> None:
    """One event on stdout."""
    from gesta.tasks.events_text import event_document, event_line
    from gesta.untrusted import printable

    sys.stdout.write((json_line(event_document(event)) if json else printable(event_line(event))) + "\n")
    sys.stdout.flush()


def by_keys(follower: Any, title: str) -> None:
    """Segments are opened and closed at the terminal. Raises GestaError (usage) for a model that has none."""
    from gesta.live.keys import KeyGate

    if not hasattr(follower, "gate"):
        raise GestaError(f"--keys is for models of whole videos; {title} follows on its own. Leave it out.", usage=True)
    follower.gate = KeyGate()
    console.print("Enter begins a segment, Enter ends it.", highlight=False)


def kept(source: Source, folder: Path) -> Recorded:
    """The source with its video kept in a folder. Raises GestaError (usage) for stored skeletons."""
    from gesta.live.recording import Recorded
    from gesta.live.sources import Video

    if not isinstance(source, Video):
        raise GestaError("--record keeps video, and the source is a file of skeletons. Leave it out.", usage=True)
    return Recorded(source, folder)


def matched(task: Any, predictor: Any, follower: Any, source: str) -> tuple[Source, Any]:
    """The source, and the follower that takes what it gives. Raises GestaError where they do not go together."""
    from gesta.live.sources import Played, Video

    if follower.takes == "rgb":
        return Video(source), follower
    path = Path(source)
    if path.is_file() and path.suffix.lower() in (".npy", ".csv", ".txt", ".json", ".skeleton"):
        return Played(task.play(predictor, path)), follower
    return Video(source), tracked(predictor, follower)


def tracked(predictor: Any, follower: Any) -> Any:
    """A follower of skeletons that takes images: a tracker finds the joints in them. Raises GestaError."""
    from gesta.live.tracked import TrackedFollower
    from gesta.trackers.joints import SOUGHT, joint_names
    from gesta.trackers.tracker import Tracker

    space = predictor.manifest.space
    what = next((name for name in SOUGHT if joint_names(name) == space.joints), None)
    if what is None:
        raise GestaError(
            f"The model takes skeletons of the joints {', '.join(space.joints[:3])}, ..., which no tracker finds in "
            "images. Give a file of such skeletons as --source, or train on skeletons of gesta track.",
            usage=True,
        )
    tracker = Tracker(what)
    return TrackedFollower(follower, lambda image, time_s: tracker.step(image, time_s).joints(what), space)
