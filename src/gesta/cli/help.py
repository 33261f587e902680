"""One style of help for every command: what it does, examples, options under headings, and no types of Python."""

from __future__ import annotations

import inspect
from typing import Any

from typer.core import TyperCommand, TyperGroup

from gesta.words import did_you_mean

WIDTH = 100
"""Maximum width of the help, in columns."""
ARGUMENTS, OPTIONS, DATA, MACHINE, SOME, OUTPUT = (
    "Arguments",
    "Options",
    "Reading the data",
    "Where and how fast it runs",
    "For some kinds of model only",
    "Output",
)
HEADINGS = (ARGUMENTS, OPTIONS, SOME, DATA, MACHINE, OUTPUT)
"""Headings of a command's help, in this order."""


class Command(TyperCommand):
    """A command whose help is its function's docstring, examples as they are typed."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{**settings, "context_settings": {"max_content_width": WIDTH}})

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", *(_in_usage(p) for p in self.get_params(ctx) if _is_argument(p))]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        for paragraph in inspect.cleandoc(self.help or "").split("\n\n"):
            formatter.write_paragraph()
            with formatter.indentation():
                if paragraph.startswith("Example"):
                    formatter.write("".join(f"  {line}\n" for line in paragraph.splitlines()))
                else:
                    formatter.write_text(paragraph)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        for heading, rows in sections(self.get_params(ctx)).items():
            with formatter.section(heading):
                formatter.write_dl(rows)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if name := getattr(error, "option_name", None):
                ctx.fail(f"no option {name}.{_for_option(name, self.get_params(ctx))}")
            raise


class Group(TyperGroup):
    """A command of several commands, each listed with its first sentence."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{**settings, "context_settings": {"max_content_width": WIDTH}})

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = [
            (name, first_line(getattr(self.get_command(ctx, name), "help", ""))) for name in self.list_commands(ctx)
        ]
        self.write_commands(formatter, "Commands", rows)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        with formatter.section(OPTIONS):
            formatter.write_dl([row for rows in sections(self.get_params(ctx)).values() for row in rows])

    @staticmethod
    def write_commands(formatter: Any, heading: str, rows: list[tuple[str, str]]) -> None:
        if rows:
            with formatter.section(heading):
                formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"no command {args[0]!r}.{did_you_mean(args[0], self._paths(ctx)).replace('.', ' ')}")
        return super().resolve_command(ctx, args)

    def _paths(self, ctx: Any) -> list[str]:
        """The commands, and those of groups with a dot: data.inspect."""
        names = self.list_commands(ctx)
        inner = {name: getattr(self.get_command(ctx, name), "commands", {}) for name in names}
        return [*names, *(f"{name}.{command}" for name, commands in inner.items() for command in commands)]


def sections(parameters: list[Any]) -> dict[str, list[tuple[str, str]]]:
    """Heading -> (name, meaning) of each parameter under it; headings without any are left out."""
    found: dict[str, list[tuple[str, str]]] = {heading: [] for heading in HEADINGS}
    for parameter in parameters:
        if not getattr(parameter, "hidden", False):
            found[_heading(parameter)].append((_name(parameter), _meaning(parameter)))
    return {heading: rows for heading, rows in found.items() if rows}


def first_line(text: str | None) -> str:
    """A docstring's first paragraph in one line."""
    return " ".join(inspect.cleandoc(text or "").partition("\n\n")[0].split())


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _heading(parameter: Any) -> str:
    if _is_argument(parameter):
        return ARGUMENTS
    return getattr(parameter, "rich_help_panel", None) or (OUTPUT if parameter.name == "help" else OPTIONS)


def _shown(parameter: Any) -> str:
    """What stands for a parameter's value."""
    return str(parameter.metavar or parameter.name.upper())


def _in_usage(parameter: Any) -> str:
    name = _shown(parameter) + ("..." if parameter.nargs != 1 else "")
    return name if parameter.required else f"[{name}]"


def _name(parameter: Any) -> str:
    if _is_argument(parameter):
        return _shown(parameter)
    names = " / ".join([", ".join(parameter.opts), *parameter.secondary_opts])
    if getattr(parameter, "is_flag", False):
        return names
    number = isinstance(parameter.default, int | float) and parameter.metavar is None
    return f"{names} {'N' if number else _shown(parameter)}"


def _meaning(parameter: Any) -> str:
    """The help with the default in words, or that there must be a value."""
    text = parameter.help or ""
    if parameter.required:
        return text if _is_argument(parameter) else f"{text} (required)"
    shown, default = getattr(parameter, "show_default", True), parameter.default
    if isinstance(shown, str):
        return f"{text} (default: {shown})"
    if parameter.secondary_opts:
        return f"{text} (default: {parameter.opts[0] if default else parameter.secondary_opts[0]})"
    quiet = not shown or default is None or isinstance(default, bool) or default == ""
    return text if quiet else f"{text} (default: {default})"


def _for_option(name: str, parameters: list[Any]) -> str:
    """What may have been meant by an option that a command has not: another one, or a setting of the recipe."""
    known = [option for p in parameters for option in (*p.opts, *p.secondary_opts) if option.startswith("--")]
    meant = did_you_mean(name, known)
    if not meant and "--set" in known:
        from gesta.recipes.schema import TrainingSettings

        key = name.lstrip("-").replace("-", "_")
        meant = f" It is in the recipe: --set training.{key}=..." if key in TrainingSettings.model_fields else ""
    return meant
