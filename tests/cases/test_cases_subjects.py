"""People in names: proposed by inspect, written into an index.csv by `gesta data index`."""

from __future__ import annotations

import csv
import json
import os

import pytest
from cases.shared_cases import put
from typer.testing import CliRunner

from gesta.audit.subjects import propose, subject_faults
from gesta.cli import app
from gesta.schema import GestaError
from gesta.sources.catalog import read
from gesta.sources.index_write import write_index
from gesta.sources.name_patterns import NamePattern


def proposed(root, *names):
    put(root, *names)
    return propose(read(root, "class_folders+level1").samples)


def every(pattern, people, labels=("clap", "wave"), takes=3):
    return [pattern.format(label=label, p=p, take=take) for label in labels for p in people for take in range(takes)]


@pytest.mark.parametrize(
    ("pattern", "people", "right"),
    [
        ("{label}/{p}_{take}.mp4", ("anna", "ben", "carl"), "{subject}_*"),
        ("{label}/{p}-{take}.mp4", ("p01", "p02"), "{subject}-*"),
        ("{label}/{label}_{p}_{take}.avi", ("S01", "S02", "S03"), "*_{subject}_*"),
        ("{label}/v_{label}_g{p}_c{take}.avi", ("01", "02", "03"), "*_*_{subject}_*"),
        ("{label}/t{take}_{p}.mp4", ("anna", "ben"), "*_{subject}"),
        ("{label}/{p}/{take}.mp4", ("anna", "ben"), "*/{subject}/*"),
        ("{label}/day1/{p}/{take}.mp4", ("anna", "ben"), "*/*/{subject}/*"),
    ],
)
def test_where_people_stand_is_found_and_the_pattern_finds_them(tmp_path, pattern, people, right):
    names = every(pattern, people)
    proposal = proposed(tmp_path, *names)
    assert proposal.pattern == right
    assert proposal.everywhere == len(people)
    found = {NamePattern(proposal.pattern, "subject").find(name) for name in names}
    assert found == set(proposal.names)
    assert len(found) == len(people)


@pytest.mark.parametrize(
    "names",
    [
        every("{label}/{take}_{p}.mp4", ("1", "2", "3")),  # takes, or people? nobody can tell
        every("{label}/clip{p}_rgb.mp4", ("1", "2")),
        every("{label}/{label}_take{take}.mp4", ("",)),
        ["clap/anna_1.mp4", "clap/anna_2.mp4", "wave/ben_1.mp4", "wave/ben_2.mp4"],  # each in one class only
        ["clap/anna_1.mp4", "clap/anna_2.mp4"],
    ],
)
def test_names_that_are_no_people_are_not_proposed(tmp_path, names):
    assert proposed(tmp_path, *names) is None


@pytest.mark.parametrize("pattern", ["{p}/{label}/{take}.mp4", "{label}/{p}/{take}.mp4", "{label}/{p}_{take}.mp4"])
@pytest.mark.parametrize("parts", [("train", "val", "test"), ("Training set", "Validation-videos")])
def test_the_parts_of_a_set_are_no_people(tmp_path, pattern, parts):
    put(tmp_path, *every(pattern, parts))
    assert list(subject_faults(tmp_path, read(tmp_path).samples)) == []


def test_the_proposal_counts_and_names_the_command(tmp_path):
    root = tmp_path / "my set"
    put(root, *every("{label}/{p}_{take}.mp4", [f"p{i}" for i in range(8)]))
    (problem,) = subject_faults(root, read(root).samples)
    assert problem.reason.startswith("8 names occur in every class (p0, p1")
    assert problem.hint == f"If so: gesta data index '{root}' --subject '{{subject}}_*'"


def test_index_is_written_and_read_back(tmp_path):
    put(
        tmp_path,
        *every("train/{label}/{p}_{take}.mp4", ("anna", "ben")),
        *every("test/{label}/{p}_{take}.mp4", ("carl",)),
    )
    written = write_index(read(tmp_path), NamePattern("{subject}_*", "subject"))
    assert (written.rows, written.labels, written.subjects) == (18, ("clap", "wave"), ("anna", "ben", "carl"))
    listing = read(tmp_path)
    assert (listing.layout, listing.problems) == ("index_csv", ())
    for sample in listing.samples:
        part, label, name = sample.id.split("/")
        assert (sample.split, sample.label, sample.subject) == (part, label, name.split("_")[0])


def test_an_index_is_never_replaced_without_being_asked(tmp_path):
    put(tmp_path, "clap/anna_1.mp4", "wave/anna_1.mp4")
    (tmp_path / "index.csv").write_text("path,label,start_s,end_s\nclap/anna_1.mp4,x,0.5,1.25\n")
    before = (tmp_path / "index.csv").read_bytes()
    result = CliRunner().invoke(app, ["data", "index", str(tmp_path), "--subject", "{subject}_*"])
    assert isinstance(result.exception, GestaError)
    assert "--overwrite" in str(result.exception)
    assert (tmp_path / "index.csv").read_bytes() == before
    result = CliRunner().invoke(
        app, ["data", "index", str(tmp_path), "--subject", "{subject}_*", "--overwrite", "--json"]
    )
    assert json.loads(result.stdout)["subjects"] == ["anna"]
    rows = list(csv.DictReader((tmp_path / "index.csv").open()))
    assert rows == [{"path": "clap/anna_1.mp4", "label": "x", "subject": "anna", "start_s": "0.5", "end_s": "1.25"}]


def test_names_without_a_match_and_odd_names_are_told(tmp_path):
    put(tmp_path, "clap/anna_1.mp4", "clap/nobody.mp4", os.fsdecode(b"wave/ben_\xff.mp4"), 'wave/ben_"a",\n1.mp4')
    written = write_index(read(tmp_path), NamePattern("{subject}_*", "subject"))
    assert (written.unmatched, written.left_out) == (("clap/nobody.mp4",), (r"wave/ben_\xff.mp4",))
    assert [(s.id, s.subject) for s in read(tmp_path).samples] == [
        ("clap/anna_1.mp4", "anna"),
        ("clap/nobody.mp4", None),
        ('wave/ben_"a",\n1.mp4', "ben"),
    ]


def test_labels_from_names(tmp_path):
    put(tmp_path, "wave_anna_1.mp4", "clap_anna_1.mp4", "clap_ben_1.mp4")
    write_index(read(tmp_path), NamePattern("*_{subject}_*", "subject"), NamePattern("{label}_*", "label"))
    listing = read(tmp_path)
    assert (listing.labels, listing.subjects) == (("clap", "wave"), ("anna", "ben"))


@pytest.mark.parametrize("pattern", ["*", "{subject}_{subject}", "{label}_*", ""])
def test_patterns_that_name_nobody(pattern):
    with pytest.raises(GestaError, match=r"contains \{subject\} once") as caught:
        NamePattern(pattern, "subject")
    assert caught.value.usage


def test_a_pattern_that_fits_nothing_writes_nothing(tmp_path):
    put(tmp_path, "clap/1.mp4", "wave/2.mp4")
    with pytest.raises(GestaError, match="matches none of the 2 names"):
        write_index(read(tmp_path), NamePattern("p{subject}_*", "subject"))
    assert not (tmp_path / "index.csv").exists()
