"""What every command shares: options, output, progress, and the message for a missing extra."""

from __future__ import annotations

import importlib.util
import json as json_module
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from gesta.cli.help import DATA, MACHINE, OUTPUT, SOME, Group
from gesta.progress import bar
from gesta.schema import GestaError
from gesta.untrusted import printable
from gesta.words import command, install

if TYPE_CHECKING:
    from gesta.compression.store import Step
    from gesta.jobs.cluster import Cluster
    from gesta.tasks.base import Task

__all__ = ["command"]
SHOWN_SKIPPED = 10


class SafeConsole(Console):
    """Control characters in what is printed, as in a label from a stranger's data, are escaped, not obeyed."""

    def on_broken_pipe(self) -> None:
        raise GestaError("the program that reads the output has closed it; the rest is not written.")

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=escaped(segment.text))


def escaped(text: str) -> str:
    """Text with its control characters, but for line breaks and tabs, as escapes."""
    return re.sub(r"[^\n\t]+", lambda found: printable(found[0]), text)


def group(about: str) -> typer.Typer:
    """A command of several commands, such as `gesta pose compare`."""
    app = typer.Typer(
        cls=Group, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    app.callback(help=about)(lambda: None)
    return app


console = SafeConsole(stderr=True, emoji=False)
WHOLE = 1000
"""Width of output to a pipe or file, in columns, so that no table cell is truncated."""

JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else.", rich_help_panel=OUTPUT)
]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="LAYOUT",
        help="Layout of the data folder, such as chalearn2014, isogd+rgb, or your own reader, "
        "my_package.reader. (default: detected)",
        rich_help_panel=DATA,
    ),
]
SkeletonOption = Annotated[
    Path | None,
    typer.Option(
        "--skeleton",
        metavar="FILE",
        help="Skeletons of the recording, for a model that needs them.",
        rich_help_panel=SOME,
    ),
]
DepthOption = Annotated[
    Path | None,
    typer.Option(
        "--depth", metavar="FILE", help="Depth video of the recording, for a model that needs it.", rich_help_panel=SOME
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.", rich_help_panel=MACHINE)]
SeedOption = Annotated[int, typer.Option("--seed", help="Random seed; the same seed gives the same result.", min=0)]
SplitSeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed", metavar="N", help="Seed of the split. (default: as in training)", min=0, rich_help_panel=DATA
    ),
]
"""For commands that split the data of a trained bundle again: another seed would measure on its training people."""
RecordingsArgument = Annotated[
    Path, typer.Argument(metavar="DATA", help="Folder of labeled recordings.", show_default=False)
]
BundleArgument = Annotated[
    str,
    typer.Argument(
        metavar="BUNDLE", help="Bundle (folder or zip), or demo or everyday, which come with gesta.", show_default=False
    ),
]
WeightsArgument = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="Bundle (folder or zip) with PyTorch weights.", show_default=False)
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a setting of the recipe, as in training.epochs=20. Repeatable."
    ),
]
RECIPE_HELP = "Recipe by name (see gesta recipes) or YAML file. (default: chosen for the data)"
RecipeOption = Annotated[str | None, typer.Option("--recipe", help=RECIPE_HELP)]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="openvino, onnxruntime or torch. (default: what the bundle was made for)",
        rich_help_panel=MACHINE,
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="FOLDER", help="Labeled recordings; their test part is measured before and after."),
]
ProtocolOption = Annotated[
    str,
    typer.Option(
        "--protocol",
        help="subject: people in the test part are in no other. document: test on ChaLearn's official validation part.",
        rich_help_panel=DATA,
    ),
]
StepOut = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to write the new bundle.")]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="WHERE",
        help="Run on a Dask cluster: local:N, tcp://HOST:PORT or slurm:N. (default: processes on this computer)",
        rich_help_panel=MACHINE,
    ),
]
DevicesOption = Annotated[
    int, typer.Option("--devices", help="GPUs (processes) per computer.", min=1, rich_help_panel=MACHINE)
]
NodesOption = Annotated[int, typer.Option("--nodes", help="Number of computers.", min=1, rich_help_panel=MACHINE)]
WorkersOption = Annotated[
    int,
    typer.Option("--workers", help="Training runs at the same time, one thread each.", min=1, rich_help_panel=MACHINE),
]
BackboneOption = Annotated[
    str | None,
    typer.Option(
        "--backbone-weights",
        metavar="FILE",
        help="Models on stored features: weights of the network that computes them. A bundle or folder works, too.",
        rich_help_panel=SOME,
    ),
]


_UNSHOWN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that JSON allows but a terminal interprets, or that UTF-8 cannot encode."""


def json_line(document: Mapping[str, Any] | list[Any]) -> str:
    """A document in one line that every terminal's encoding can hold. Raises GestaError for a number that is none."""
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    try:
        line = json_module.dumps(document, ensure_ascii=plain, allow_nan=False)
    except ValueError as error:
        raise GestaError(
            f"the result contains a number that is not finite, which JSON cannot express ({error})."
        ) from error
    return _UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def emit(document: Mapping[str, Any] | list[Any], text: RenderableType | None, json: bool) -> None:
    """The result, to stdout: as one JSON document, or as text for people."""
    if json:
        sys.stdout.write(json_line(document) + "\n")
    elif text is not None:
        piped = not sys.stdout.isatty()
        SafeConsole(file=sys.stdout, width=WHOLE if piped else None, soft_wrap=piped, emoji=False).print(text)


def progress(description: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """A progress bar on stderr, fed by callback(done, total). Silent where stderr is not a terminal."""
    return bar(description)


@contextmanager
def jobs_in(out: Path | None, cluster: str | None, command: str) -> Iterator[Cluster | None]:
    """Keeps record of a command's jobs in `out`, and sends them to the cluster, if there is one. Raises GestaError."""
    from gesta.jobs.pool import working

    with working(out, cluster, say_plain, command) as made:
        yield made


def say_plain(text: str) -> None:
    """A line for people, to stderr."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def say_step(text: str) -> None:
    """What is done now, to stderr."""
    say_plain(f"{text} ...")


def need(extra: str, *modules: str) -> None:
    """Raises GestaError naming the extra to install if one of the modules is not there."""
    missing = [m for m in modules if importlib.util.find_spec(m) is None]
    if missing:
        raise GestaError(f"This needs {', '.join(missing)}, which is not installed. Install it: {install(extra)}")


def existing(path: Path, what: str) -> Path:
    """The path itself, of a bundle that comes with gesta its file; GestaError (usage) if nothing is there."""
    from gesta.bundle.io import located

    if what == "bundle":
        path = located(path)
    if not path.exists():
        raise GestaError(f"{path}: no such {what}. Check the spelling and the folder you are in.", usage=True)
    return path


def given_options(context: typer.Context, task: Task, **options: Any) -> dict[str, Any]:
    """Those of the options that this task takes for the command.

    Raises GestaError (usage) for one that only other tasks take and that was given on the command line.
    """
    known = task.options.get(str(context.info_name), frozenset())
    for name in context.params:
        if name in known or not any(name in other.options.get(str(context.info_name), ()) for other in _tasks()):
            continue
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise GestaError(
                f"--{OPTIONS.get(name, name).replace('_', '-')} does not apply to {task.title}. Leave it out; see "
                f"gesta {context.info_name} --help.",
                usage=True,
            )
    return {name: value for name, value in options.items() if name in known}


OPTIONS = {"sets": "set", "layout": "format", "start": "from"}
"""Parameter -> its option, where it has another name."""


def _tasks() -> list[Task]:
    from gesta.tasks import catalog

    return catalog.every()


def say_notes(metrics: Mapping[str, Any]) -> None:
    """Notes, warnings and what was left out of a measurement, to stderr."""
    for note in metrics["notes"]:
        console.print(escape(note), highlight=False, soft_wrap=True)
    for warning in metrics["warnings"]:
        console.print(f"[yellow]Warning:[/yellow] {escape(warning)}", highlight=False, soft_wrap=True)
    for problem in metrics["skipped"][:SHOWN_SKIPPED]:
        text = escape(printable(f"{problem['path']}: {problem['reason']}"))
        console.print(f"[yellow]Skipped[/yellow] {text}", highlight=False, soft_wrap=True)
    if len(metrics["skipped"]) > SHOWN_SKIPPED:
        console.print(f"... {len(metrics['skipped'])} skipped in total; metrics.json lists them.", highlight=False)


def step_lines(step: Step, task: Task, data: Path | None) -> list[str]:
    """What a step of compression left, for people."""
    sparse = [t for t in step.tensors if t.encoding == "bitmap"]
    gone = 1 - step.nonzero / max(step.parameters, 1)
    lines = [
        f"parameters  {step.parameters:,}, nonzero {step.nonzero:,} ({gone:.1%} removed)",
        f"weights     {step.bytes_before:,} -> {step.bytes_after:,} bytes",
        f"stored      {len(sparse)} of {len(step.tensors)} tensors sparse (bitmap), "
        f"saving {sum(t.dense_bytes - t.bytes for t in sparse):,} bytes; the others dense",
    ]
    if step.kept:
        lines.append(f"in 32 bits  {', '.join(step.kept[:5])}" + (" ..." if len(step.kept) > 5 else ""))
    if step.emptied:
        lines.append(f"Warning     all weights are zero in {', '.join(step.emptied)}")
    found = step.comparison
    if found is not None:
        show = task.quality.text
        facts = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in found.facts.items())
        lines.append(f"measured    {show(found.before)} -> {show(found.after)} on {found.n} test {found.unit}; {facts}")
    else:
        lines.append(f"measured    no: {'add --data DATA' if data is None else 'the data have no test part'}")
    return [
        *lines,
        f"bundle      {step.bundle}",
        f"next        {command('gesta', 'evaluate', step.bundle, data or 'DATA')}",
    ]
