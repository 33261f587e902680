"""index.csv as spreadsheets write it: read, or refused by name; its folder never falls through to folders' names."""

from __future__ import annotations

import sys

import pytest
from cases.shared_cases import case, put

from gesta.schema import GestaError
from gesta.sources.catalog import detect, read
from gesta.sources.tables import table

ROWS = [
    ("path", "label", "subject"),
    ("a b.mp4", "wave", "anna"),
    ("v/b.mp4", "up, down", "Jürgen"),
    ("c.mp4", "wave", ""),
]
RIGHT = [("a b.mp4", "wave", "anna"), ("v/b.mp4", "up, down", "Jürgen"), ("c.mp4", "wave", None)]


def written(rows, mark=",", end="\n", quoted=False):
    def cell(text):
        return f'"{text}"' if quoted or mark in text else text

    return "".join(mark.join(map(cell, row)) + end for row in rows)


def found(root):
    put(root, "a b.mp4", "v/b.mp4", "c.mp4")
    listing = read(root)
    assert listing.layout == "index_csv"
    return [(s.id, s.label, s.subject) for s in listing.samples]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_separators_and_line_ends(tmp_path, encoding, mark, end):
    (tmp_path / "index.csv").write_bytes(written(ROWS, mark, end).encode(encoding))
    assert found(tmp_path) == RIGHT


@pytest.mark.parametrize(
    "opening", ["sep=;\n", "SEP=;\r\n", '"sep=;"\n', "sep=;;;\n", "\n", "\n\n  \n", "\n sep=;\n\n", ";;\n"]
)
def test_lines_before_the_header(tmp_path, opening):
    (tmp_path / "index.csv").write_text(opening + written(ROWS, ";"), newline="")
    assert found(tmp_path) == RIGHT


@pytest.mark.parametrize(
    "header",
    [
        ("filename", "label", "person"),
        ("video", "class", "signer"),
        ("File", "Label", "Subject"),
        ("clip", "gesture", "participant"),
        ("file name", "Class Name", "User"),
        ("video_path", "label_name", "subject_id"),
        (" path ", '"label"', "SUBJECT"),
    ],
)
def test_other_headers(tmp_path, header):
    (tmp_path / "index.csv").write_text(written([header, *ROWS[1:]], ";"))
    assert found(tmp_path) == RIGHT


def test_quoted_cells_and_names_without_ending(tmp_path):
    (tmp_path / "index.csv").write_text(written(ROWS, quoted=True))
    assert found(tmp_path) == RIGHT
    (tmp_path / "index.csv").write_text("clip,gesture\na b,wave\nv/b,clap\nnothing,clap\n")
    listing = read(tmp_path)
    assert [(s.id, s.label) for s in listing.samples] == [("a b.mp4", "wave"), ("v/b.mp4", "clap")]
    assert "nothing is not there" in str(listing.problems[0])


def test_the_exact_name_wins_over_its_aliases(tmp_path):
    put(tmp_path, "a.mp4")
    (tmp_path / "index.csv").write_text("file,path,class,label\nother.mp4,a.mp4,7,wave\n")
    (sample,) = read(tmp_path).samples
    assert (sample.id, sample.label) == ("a.mp4", "wave")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "found nothing"),
        (b"a.mp4,wave\nb.mp4,clap\n", "found a.mp4, wave"),
        (b"Datei;Klasse\na.mp4;wave\n", "found Datei, Klasse"),
        ("path,label\na.mp4,grüß\n".encode("cp1252"), "is not UTF-8 text"),
        (b"PK\x03\x04" + bytes(range(256)), "is not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name_and_folders_are_not_taken_instead(tmp_path, content, reason):
    put(tmp_path, "wave/a.mp4", "clap/b.mp4")
    (tmp_path / "index.csv").write_bytes(content)
    assert detect(tmp_path) == "index_csv"
    with pytest.raises(GestaError, match=reason) as caught:
        read(tmp_path)
    assert str(tmp_path / "index.csv") in str(caught.value)


def test_capitals_and_tsv(tmp_path):
    for name in ("Index.CSV", "index.tsv"):
        root = tmp_path / name
        put(root, "wave/a.mp4")
        (root / name).write_text("path\tlabel\nwave/a.mp4\thello\n")
        assert read(root).labels == ("hello",)


def test_columns_that_look_like_spans_are_not_passed_over(tmp_path):
    put(tmp_path, "a.mp4")
    (tmp_path / "index.csv").write_text("path,label,start,end_frame,notes\na.mp4,wave,3,99,nice\n")
    (problem,) = read(tmp_path).problems
    assert problem.kind == "column-not-read"
    assert "not read: column start, end_frame" in problem.reason


def test_a_quote_that_is_not_closed_costs_its_row_only(tmp_path):
    put(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "index.csv").write_text('path,label\na.mp4,"wave\nb.mp4,clap\nc.mp4,"stop"\n')
    listing = read(tmp_path)
    assert [(s.id, s.label) for s in listing.samples] == [("b.mp4", "clap"), ("c.mp4", "stop")]
    assert "line 2: a quotation mark is opened but not closed" in str(listing.problems[0])


def test_many_open_quotes_take_no_time():
    refused = []
    rows = table("path,label\n" + 'a.mp4,"wave\n' * 20_001, lambda line, reason: refused.append((line, reason)))
    assert len(rows) + len(refused) >= 1
    assert len(refused) <= 101


def test_a_huge_cell_costs_its_row_only(tmp_path):
    put(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "index.csv").write_text(f"path,label\na.mp4,{'x' * 200_000}\nb.mp4,clap\n")
    listing = read(tmp_path)
    assert [(s.id, s.label) for s in listing.samples] == [("b.mp4", "clap")]
    assert "line 2: field larger than field limit" in str(listing.problems[0])


def test_a_line_break_in_a_cell_is_kept():
    assert table('path,label\n"a\nb.mp4",wave\nc.mp4,clap\n') == [
        (1, ["path", "label"]),
        (3, ["a\nb.mp4", "wave"]),
        (4, ["c.mp4", "clap"]),
    ]


@pytest.mark.parametrize("name", ["p2_utf16", "p3_sep", "p4_blank", "p5_tab", "p6_filename"])
def test_shared_index_csv(name):
    listing = read(case("index_csv_not_seen") / name)
    assert listing.layout == "index_csv"
    assert len([s for s in listing.samples if s.label]) == 10
    assert len(listing.labels) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("signs.csv", f"file,sign\n{'x' * 5000}.mp4,house\n"),
        ("signs.csv", "file,sign\na\0b.mp4,house\n"),
        ("train_list.txt", f"train/001/M_{'x' * 5000}.avi train/001/K_1.avi 1\n"),
        ("signs.csv", "file,sign\n../a.mp4,house\n"),
        ("signs.csv", "file,sign\n/etc/passwd,house\n"),
        ("train_list.txt", "../M_1.avi /K_1.avi 1\n"),
        ("signs.csv", f"file,sign\na.mp4,{'x' * 200_000}\n"),
        ("signs.csv", 'file,sign\na.mp4,"house\nb.mp4,tree\n'),
    ],
)
def test_lists_of_names_that_lead_nowhere_or_out(tmp_path, name, content):
    put(tmp_path, name)
    (tmp_path / name).write_text(content)
    with pytest.raises(GestaError, match=str(tmp_path)):
        read(tmp_path)


def test_a_list_of_hands_with_names_that_no_file_system_takes(tmp_path):
    from gesta.sources import hand_catalog

    put(tmp_path, "Training/labels.txt")
    (tmp_path / "Training" / "labels.txt").write_text(f"{'x' * 5000}/a.png {'1 ' * 48}\n")
    listing = hand_catalog.read(tmp_path)
    assert not listing.frames
    assert listing.problems


@pytest.mark.parametrize(
    "command",
    [("train", "DATA"), ("crossval", "DATA"), ("evaluate", "demo", "DATA")],
    ids=lambda command: command[0],
)
def test_a_table_of_which_nothing_is_left_says_why(tmp_path, monkeypatch, capfd, command):
    """Every command that takes a data folder, not `inspect` alone."""
    from gesta.cli import main

    data = tmp_path / "data"
    data.mkdir()
    (data / "index.csv").write_text("path,label\n../elsewhere/a.avi,run\n../elsewhere/b.avi,walk\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gesta", *(str(data) if part == "DATA" else part for part in command)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capfd.readouterr().err
    assert ended.value.code == 1, said
    assert f"{data}: nothing in it can be used. The first problem: " in said and "(1 more)" in said
    assert "is outside the folder" in said
