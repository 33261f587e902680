"""The import rules: the table in .importlinter is read as written and catches what it should."""

from tools.package_rules import parse, violations

TABLE = parse(["schema:", "clips: schema", "engines: clips, schema", "engines.torch: clips, models", "models:"])


def test_allowed_imports_pass():
    assert violations([("clips.read", "schema"), ("clips.read", "clips.decode")], TABLE) == []


def test_forbidden_import_is_named():
    (message,) = violations([("clips.read", "engines.onnx")], TABLE)
    assert "gesta.clips.read imports gesta.engines.onnx" in message


def test_longer_line_wins_over_its_package():
    assert violations([("engines.torch", "models.catalog")], TABLE) == []
    assert violations([("engines.onnx", "models.catalog")], TABLE)


def test_package_without_a_line_is_an_error():
    (message,) = violations([("newcomer.x", "schema")], TABLE)
    assert "no line in the table" in message
