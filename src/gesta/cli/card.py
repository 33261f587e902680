"""`gesta card`: a bundle's model card, ready for a model hub."""

from __future__ import annotations

from typing import Annotated

import typer

from gesta.cli.common import BundleArgument, JsonFlag, emit

License = Annotated[str | None, typer.Option("--license", help="License, such as apache-2.0 or cc-by-4.0.")]
Languages = Annotated[list[str] | None, typer.Option("--language", help="Language, such as en. Repeatable.")]
Dataset = Annotated[str | None, typer.Option("--dataset", help="Name of the data set that the model was measured on.")]


def card(
    bundle: BundleArgument,
    license: License = None,
    language: Languages = None,
    dataset: Dataset = None,
    json: JsonFlag = False,
) -> None:
    """Print a model card, ready for a model hub.

    Its YAML header has license, tags and results, with confidence intervals. The results are those that gesta
    evaluate BUNDLE DATA --record wrote into the bundle.

    Example:
      gesta card runs/mine/bundle --license apache-2.0 --language en > README.md
    """
    from gesta.bundle import hub
    from gesta.tasks import catalog

    task, opened = catalog.of_bundle(bundle)
    names = hub.measures(task.quality.measured, task.quality.trained, task.kept)
    publication = hub.Publication(license, tuple(language or ()), dataset)
    header = hub.header(opened.manifest, task.title, names, publication)
    text = hub.render(opened.manifest, header)
    emit({"header": header, "card": text}, None, json)
    if not json:
        typer.echo(text, nl=False)
