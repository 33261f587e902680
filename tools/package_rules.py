"""An import-linter contract in the form of the table "Import rules" in docs/architecture.md.

Each line of `packages` lists a package and those it may import directly. A longer name (`engines.torch`) has its own
line, which overrides that of its package. A package without a line is an error, so that none is forgotten.
"""

from __future__ import annotations

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

ROOT = "gesta"


def parse(lines: list[str]) -> dict[str, set[str]]:
    """Lines like "clips: schema" -> {"clips": {"schema"}}."""
    table = {}
    for line in lines:
        package, _, allowed = line.partition(":")
        table[package.strip()] = {name.strip() for name in allowed.split(",") if name.strip()}
    return table


def row_of(module: str, table: dict[str, set[str]]) -> str | None:
    """The most specific line that covers a module name (without the root), or None."""
    covering = [row for row in table if module == row or module.startswith(row + ".")]
    return max(covering, key=len, default=None)


def violations(imports: list[tuple[str, str]], table: dict[str, set[str]]) -> list[str]:
    """The pairs (importer, imported), names without the root, that the table does not allow."""
    found = []
    for importer, imported in imports:
        row, target = row_of(importer, table), row_of(imported, table) or imported.split(".")[0]
        if row is None:
            found.append(f"{ROOT}.{importer}: no line in the table of packages; add one to .importlinter")
        elif target != row and not row.startswith(f"{target}.") and not {target, target.split(".")[0]} & table[row]:
            found.append(f"{ROOT}.{importer} imports {ROOT}.{imported}, but {row} may import: {sorted(table[row])}")
    return sorted(set(found))


class PackagesContract(Contract):
    """Every direct import between packages must be listed in the table."""

    type_name = "packages"
    packages = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002
        table = parse([str(line) for line in self.packages])  # type: ignore[attr-defined]
        prefix = ROOT + "."
        imports = [
            (module.removeprefix(prefix), imported.removeprefix(prefix))
            for module in graph.modules
            if module.startswith(prefix)
            for imported in graph.find_modules_directly_imported_by(module)
            if imported.startswith(prefix)
        ]
        found = violations(imports, table)
        return ContractCheck(kept=not found, metadata={"violations": found})

    def render_broken_contract(self, check: Any) -> None:
        for line in check.metadata["violations"]:
            output.print_error(line)
