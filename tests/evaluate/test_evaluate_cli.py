"""`gesta evaluate` and `gesta cache` as called: output, exit codes, messages."""

import json
import sys

import pytest

from gesta.cli import main
from gesta.cli.cache import human_size, parse_size
from gesta.schema import GestaError
from gesta.tasks.clips.manifest import ClipManifest


@pytest.fixture
def call(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gesta", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        seen = capsys.readouterr()
        return code, seen.out, " ".join(seen.err.split())

    return run


@pytest.mark.usefixtures("recognizer")
class TestEvaluate:
    def test_json_is_one_document_and_files_are_written(self, call, make_bundle, data, tmp_path):
        code, out, _ = call("evaluate", make_bundle(), data, "--out", tmp_path / "out", "--json")
        document = json.loads(out)
        assert code == 0 and document["n"] == 16 and document["accuracy"] == 14 / 16
        keys = {"accuracy", "accuracy_interval", "n", "per_class", "confusion", "labels", "split"}
        assert keys <= set(document)
        assert (tmp_path / "out" / "report.html").is_file()

    def test_text_and_warning(self, call, make_bundle, data):
        code, out, err = call("evaluate", make_bundle(people="ABC"), data)
        assert code == 0 and "accuracy  0.875" in out and "light 2 of 4" in out
        assert "2 of 2 people were used in training (B, C)" in err

    def test_other_splits(self, call, make_bundle, data):
        assert json.loads(call("evaluate", make_bundle(), data, "--split", "all", "--json")[1])["n"] == 24
        code, _, err = call("evaluate", make_bundle(), data, "--split", "tset")
        assert code == 2 and "unknown split 'tset'; choose from test, dev, val, train, all" in err
        code, _, err = call("evaluate", make_bundle(), data, "--protocol", "dokument")
        assert code == 2 and "choose from subject and document" in err

    def test_missing_data_and_unknown_labels(self, call, make_bundle, data):
        code, out, err = call("evaluate", make_bundle(), data / "nowhere")
        assert code == 2 and not out and "no such data folder" in err
        code, out, err = call("evaluate", make_bundle(labels=("dark", "dim")), data)
        assert code == 1 and not out and "light (4), white (4)" in err

    def test_record_writes_into_the_bundle_and_its_card(self, call, make_bundle, data):
        bundle = make_bundle()
        call("evaluate", bundle, data)
        assert json.loads((bundle / "manifest.json").read_text())["metrics"] == {}
        assert call("evaluate", bundle, data, "--record")[0] == 0
        kept = json.loads((bundle / "manifest.json").read_text())["metrics"]
        assert kept["test_accuracy"] == 0.875 and kept["test_n"] == 16 and len(kept["test_accuracy_interval"]) == 2
        assert "test accuracy: 0.875" in (bundle / "CARD.md").read_text()

    def test_the_engine_is_handed_on(self, call, make_bundle, data, recognizer):
        call("evaluate", make_bundle(), data, "--engine", "openvino")
        assert recognizer.engine == "openvino"


def test_cache_shows_limits_and_clears(call, cache, data, make_bundle):
    from gesta.bundle import io
    from gesta.sources.catalog import read

    transform = io.read(make_bundle(), ClipManifest).manifest.transform
    cache.fill(read(data).samples, transform)
    code, out, _ = call("cache", "--json")
    shown = json.loads(out)
    assert code == 0 and shown["entries"] == 24 and shown["bytes"] > 24 * 8 * 16 * 16
    half = shown["bytes"] // 2
    limited = json.loads(call("cache", "--limit", str(half), "--json")[1])
    assert limited["limit_bytes"] == half >= limited["bytes"] > 0 and 10 <= limited["entries"] <= 12
    code, out, _ = call("cache", "--clear")
    assert code == 0 and "clips    0" in out and "freed" in out
    code, _, err = call("cache", "--limit", "much")
    assert code == 2 and "is not a size" in err


@pytest.mark.parametrize(
    "text,count", [("2048", 2048), ("500M", 500 * 2**20), ("1.5 GB", 3 * 2**29), ("20g", 20 * 2**30), ("1KiB", 1024)]
)
def test_sizes_are_read(text, count):
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "-5M", "5X", "G", "9" * 400])
def test_no_sizes_are_refused(text):
    with pytest.raises(GestaError, match="not a size"):
        parse_size(text)
    with pytest.raises(GestaError, match="not a size"):
        parse_size("0", least=1)


def test_sizes_are_shown():
    assert [human_size(n) for n in (5, 1536, 3 * 2**29)] == ["5 B", "1.5 kB", "1.5 GB"]
