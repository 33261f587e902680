"""What names the version names the same one."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def test_changelog_begins_with_this_version() -> None:
    released = re.findall(r"^## (\S+) - (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert released[0][0] == VERSION and [day for _, day in released] == sorted((d for _, d in released), reverse=True)


def test_citation_is_of_this_version() -> None:
    """The fields that the Citation File Format 1.2.0 requires, and what it says of this release."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited.keys() >= {"cff-version", "message", "title", "authors"} and cited["cff-version"] == "1.2.0"
    assert cited["version"] == VERSION and cited["license"] == "Apache-2.0"
    assert f"## {VERSION} - {cited['date-released']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
