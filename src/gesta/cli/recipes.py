"""`gesta recipes`: list the recipes, or print one whole."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from gesta.cli.common import JsonFlag, emit
from gesta.schema import GestaError


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this one whole.", show_default=False)] = None,
    json: JsonFlag = False,
) -> None:
    """List the recipes, or print one whole: copy it, change it, and give it to `gesta train --recipe FILE`."""
    from gesta.recipes import RecipeError, names, read_text
    from gesta.tasks.catalog import every, load_recipe

    if name is None:
        brought = [task.default_recipe for task in every()]  # a file where another package brings the task
        titles = {known: load_recipe(known).title for known in dict.fromkeys([*names(), *brought])}
        table = Table("recipe", "what it is for", box=None)
        for known, title in titles.items():
            table.add_row(known, title)
        emit({"recipes": [{"name": known, "title": title} for known, title in titles.items()]}, table, json)
        return
    try:
        text, recipe = read_text(name), load_recipe(name)
    except RecipeError as error:
        raise GestaError(str(error), usage=True) from error
    if json:
        emit({"name": name, "recipe": recipe.model_dump(mode="json"), "yaml": text}, None, json)
    else:
        typer.echo(text, nl=False)
