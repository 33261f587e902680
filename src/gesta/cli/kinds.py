"""Commands that take bundles of several kinds: which kind a bundle is, and options that belong to another one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gesta.schema import GestaError

if TYPE_CHECKING:
    import typer

WORDS = {
    "classifier": "a recogniser of clips",
    "pose": "a hand pose model",
    "sequence": "a classifier of a backbone's features",
}

OPTIONS = {"sets": "set", "layout": "format"}
"""Parameter -> its option, where it has another name."""


def kind_of(bundle: str | Path) -> str:
    """ "classifier", "pose" or "sequence". Raises GestaError for what is no bundle."""
    from gesta.bundle.io import located
    from gesta.tasks.catalog import read_bundle

    return read_bundle(located(bundle)).manifest.kind


def refuse(context: typer.Context, kind: str, *options: str) -> None:
    """Raises GestaError (usage) if one of these options, which bundles of this kind do not have, was given."""
    for name in options:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = OPTIONS.get(name, name).replace("_", "-")
            raise GestaError(
                f"--{option} is not for {WORDS[kind]}. Leave it out; see gesta {context.info_name} --help.", usage=True
            )
