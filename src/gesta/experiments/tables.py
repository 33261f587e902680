"""All tables that `gesta reproduce` supports, by name: gesta's own, and those provided by other packages' tasks."""

from __future__ import annotations

from gesta.experiments.action_catalog import ACTION_TABLES
from gesta.experiments.action_tables import ActionTables
from gesta.experiments.caption_tables import DESCRIBED_TABLES, DescribedTables
from gesta.experiments.catalog import TABLES
from gesta.experiments.clip_tables import ClipTable
from gesta.experiments.embedding_tables import EMBEDDING_TABLES, EmbeddingTables
from gesta.experiments.hand_tables import HandTable
from gesta.experiments.image_catalog import IMAGE_TABLES
from gesta.experiments.image_tables import ImageTable
from gesta.experiments.people_catalog import LEAVE_OUT_TABLES
from gesta.experiments.people_tables import PeopleTable
from gesta.experiments.pose_catalog import POSE_TABLES
from gesta.experiments.table import Experiment
from gesta.experiments.text_tables import TEXT_TABLES, TextTables
from gesta.tasks import catalog
from gesta.words import choose

KINDS = (
    (ClipTable, TABLES),
    (ImageTable, IMAGE_TABLES),
    (HandTable, POSE_TABLES),
    (PeopleTable, LEAVE_OUT_TABLES),
    (ActionTables, ACTION_TABLES),
    (TextTables, TEXT_TABLES),
    (EmbeddingTables, EMBEDDING_TABLES),
    (DescribedTables, DESCRIBED_TABLES),
)


def every() -> dict[str, Experiment]:
    """Returns name -> table."""
    found: dict[str, Experiment] = {name: kind(name, table) for kind, held in KINDS for name, table in held.items()}
    for task in catalog.every():
        found |= getattr(task, "tables", {})
    return found


def find(name: str) -> Experiment:
    """Returns the table with that name. Raises GestaError (usage) with the list and the nearest match."""
    known = every()
    return known[choose("table or figure", name, known)]
