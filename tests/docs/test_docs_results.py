"""docs/results.md is what docs/results/*.json give, and `python -m tools.results add` takes what gesta prints."""

import json

import pytest
from pydantic import ValidationError

from tools import results

RATE = {
    "name": "iqbal/table-5.4",
    "measure": "error",
    "scale": "quick",
    "seconds": 3.0,
    "rows": [
        {
            "label": "identity",
            "reported": 0.197,
            "measured": [0.5, 0.75],
            "n": 24,
            "parameters": 1485080,
            "minutes": 1.2,
        },
        {"label": "ours", "reported": None, "measured": [0.25], "n": 24, "parameters": None, "minutes": None},
    ],
}
ADD = ["--group", "Actions and signs in RGB", "--question", "Where to?", "--command", "gesta reproduce iqbal/table-5.4"]


@pytest.fixture
def docs(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "printed.json").write_text(json.dumps(RATE))
    return tmp_path


def test_the_page_is_what_the_files_give(capsys):
    assert results.main(["--check"]) == 0, capsys.readouterr().err


def test_a_printed_table_becomes_a_section(docs):
    assert results.main(["--docs", str(docs), "add", "where", str(docs / "printed.json"), *ADD]) == 0
    page = (docs / "results.md").read_text()
    assert "### Where to?\n\n    gesta reproduce iqbal/table-5.4\n\n| setting | reported error" in page
    assert "| identity | 0.197 | 0.625 ± 0.177 | 0.500, 0.750 | 24 | 1.49 M | 1.2 |" in page
    assert "| ours |  | 0.250 | 0.250 | 24 |  |  |" in page


def test_a_table_that_is_run_again_keeps_its_remarks(docs):
    file = docs / "results" / "where.json"
    call = ["--docs", str(docs), "add", "where", str(docs / "printed.json"), *ADD]
    results.main(call)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"remarks": ["Few clips."], "not_run": ["seed 2"]}))
    results.main(call)
    assert "Few clips.\n\nNot yet run: seed 2.\n" in (docs / "results.md").read_text()


def test_a_page_changed_by_hand_is_told(docs, capsys):
    call = ["--docs", str(docs)]
    results.main([*call, "add", "where", str(docs / "printed.json"), *ADD])
    page = docs / "results.md"
    page.write_text(page.read_text().replace("0.625", "0.125"))
    assert results.main([*call, "--check"]) == 1
    assert "Run python -m tools.results" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [{"rows": [["a"]], "columns": ["x", "y"]}, {"group": "Other", "rows": [["a"]], "columns": ["x"]}, {"rows": []}],
)
def test_a_file_that_is_no_table_is_refused(change):
    with pytest.raises(ValidationError):
        results.Question.model_validate({"group": "Text", "order": 1, "question": "?", "commands": [], **change})
