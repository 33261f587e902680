"""UCF-101, IsoGD and a dictionary of signs: parts, people, labels; lists that name what is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesta.schema import GestaError
from gesta.sources.catalog import detect, read
from gesta.sources.frequent import most_frequent
from gesta.sources.ucf101 import read_split

OFFICIAL = Path(__file__).parents[3] / "shared" / "data" / "ucf101_splits"


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def ucf101(root: Path) -> Path:
    spelled = {"Archery": "Archery", "HandstandPushups": "HandStandPushups"}  # as in the original files
    names = [f"{c}/v_{spelled[c]}_g{g:02d}_c01.avi" for c in spelled for g in (1, 2, 3)]
    touch(root / "UCF-101", *names)
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    for split in (1, 2, 3):
        test = [name for name in names if f"_g{split:02d}_" in name]
        train = [f"{name} {1 + ('Hand' in name)}" for name in names if name not in test]
        (lists / f"trainlist{split:02d}.txt").write_bytes("\r\n".join([*train, ""]).encode())
        (lists / f"testlist{split:02d}.txt").write_bytes("\r\n".join([*test, ""]).encode())
    return root


class TestUcf101:
    def test_three_splits_with_groups_as_people(self, tmp_path: Path) -> None:
        root = ucf101(tmp_path)
        assert detect(root) == "ucf101"
        for layout, held in (("ucf101", "g01"), ("ucf101+split2", "g02"), ("ucf101+split3", "g03")):
            listing = read(root, layout)
            assert listing.labels == ("Archery", "HandstandPushups") and len(listing.samples) == 6
            assert {s.subject for s in listing.samples if s.split == "test"} == {held}
            assert sum(s.split == "train" for s in listing.samples) == 4
        assert all(s.color is not None and s.color.path.is_file() for s in listing.samples)

    def test_missing_videos_are_all_listed(self, tmp_path: Path) -> None:
        root = ucf101(tmp_path)
        gone = [f"Archery/v_Archery_g{g:02d}_c01.avi" for g in (1, 3)]
        for name in gone:
            (root / "UCF-101" / name).unlink()
        with pytest.raises(GestaError, match="names 2 videos that cannot be found") as caught:
            read(root)
        assert all(name in str(caught.value) for name in gone)

    def test_videos_outside_the_lists_are_said(self, tmp_path: Path) -> None:
        root = ucf101(tmp_path)
        touch(root / "UCF-101", "Archery/v_Archery_g09_c01.avi")
        assert [p.kind for p in read(root).problems] == ["not-in-split"]

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("Archery/clip1.avi 1", "trainlist01.txt:5: expected <Class>/v_<Class>_gGG_cCC.avi"),
            ("Archery/v_Archery_g01_c01.avi 1", "testlist01.txt:1: .* is also in the other list"),
        ],
    )
    def test_lists_that_are_wrong(self, line: str, message: str, tmp_path: Path) -> None:
        root = ucf101(tmp_path)
        with (root / "ucfTrainTestlist" / "trainlist01.txt").open("a") as stream:
            stream.write(line + "\n")
        with pytest.raises(GestaError, match=message):
            read(root)

    def test_no_lists(self, tmp_path: Path) -> None:
        with pytest.raises(GestaError, match=r"contains no trainlist02\.txt"):
            read(tmp_path, "ucf101+split2")

    @pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official lists are not in ../shared/data/ucf101_splits")
    def test_official_lists(self) -> None:
        counts = []
        for split in (1, 2, 3):
            parts = list(read_split(OFFICIAL, split).values())
            counts.append((parts.count("train"), parts.count("test")))
        assert counts == [(9537, 3783), (9586, 3734), (9624, 3696)]


def isogd(root: Path) -> Path:
    touch(root, *(f"{p}/001/{kind}_0000{i}.avi" for p in ("train", "valid") for i in (1, 2) for kind in "MK"))
    (root / "train_list.txt").write_text(
        "train/001/M_00001.avi train/001/K_00001.avi 36\ntrain/001/M_00002.avi train/001/K_00002.avi 7\n"
    )
    (root / "valid_list.txt").write_text(
        "valid/001/M_00001.avi valid/001/K_00001.avi\nvalid/001/M_00002.avi valid/001/K_00002.avi 36\n"
    )
    return root


class TestIsogd:
    def test_both_or_one_video(self, tmp_path: Path) -> None:
        root = isogd(tmp_path)
        assert detect(root) == "isogd"
        both = read(root).samples
        assert [s.label for s in both] == ["036", "007", None, "036"]
        assert [s.split for s in both] == ["train", "train", "val", "val"]
        assert both[0].modalities == ("color", "depth") and both[0].depth_unit_mm == 16
        assert read(root, "isogd+rgb").samples[0].modalities == ("color",)
        assert read(root, "isogd+depth").samples[0].modalities == ("depth",)

    def test_missing_videos_are_all_listed(self, tmp_path: Path) -> None:
        root = isogd(tmp_path)
        (root / "train/001/K_00001.avi").unlink()
        (root / "valid/001/M_00002.avi").unlink()
        with pytest.raises(GestaError, match="names 2 videos") as caught:
            read(root)
        assert "train/001/K_00001.avi" in str(caught.value) and "valid/001/M_00002.avi" in str(caught.value)
        with pytest.raises(GestaError, match="names 1 video that"):
            read(root, "isogd+rgb")

    def test_bad_line(self, tmp_path: Path) -> None:
        root = isogd(tmp_path)
        for line in ("lost", "train/001/M_00002.avi train/001/K_00002.avi ²"):
            (root / "train_list.txt").write_text(f"train/001/M_00001.avi 36\n{line}\n", encoding="utf-8")
            with pytest.raises(GestaError, match=r"train_list\.txt:2: expected a color video"):
                read(root)

    def test_videos_that_are_named_twice(self, tmp_path: Path) -> None:
        root = isogd(tmp_path)
        line = "train/001/M_00001.avi train/001/K_00001.avi"
        for part, label in (("train", 36), ("valid", 7)):
            with (root / f"{part}_list.txt").open("a") as stream:
                stream.write(f"{line} {label}\n")
        listing = read(root)
        assert [(s.id, s.label, s.split) for s in listing.samples if s.id.startswith("train")] == [
            ("train/001/M_00001.avi", "036", "train"),
            ("train/001/M_00002.avi", "007", "train"),
        ]
        assert [(Path(p.path).name, p.kind) for p in listing.problems] == [
            ("train_list.txt:3", "row-twice"),
            ("valid_list.txt:3", "row-twice"),
        ]
        assert "is already listed, in part train with class 036." in listing.problems[1].reason

    def test_no_lists(self, tmp_path: Path) -> None:
        with pytest.raises(GestaError, match=r"contains no train_list\.txt"):
            read(tmp_path, "isogd")


def signs(root: Path, rows: str) -> Path:
    touch(root, *(f"videos/{i}.mp4" for i in range(9)))
    (root / "signs.csv").write_text(rows, encoding="utf-8")
    return root


class TestLedasila:
    def test_signs_and_the_most_frequent(self, tmp_path: Path) -> None:
        words = ["haus", "haus", "haus", "baum", "baum", "auto", "auto", "hut", "Übung"]
        rows = "file;sign;person\n" + "".join(f"videos/{i}.mp4;{w};p{i % 2}\n" for i, w in enumerate(words))
        root = signs(tmp_path, rows)
        assert detect(root) == "ledasila"
        listing = read(root)
        assert [s.label for s in listing.samples] == words and listing.subjects == ("p0", "p1")
        assert most_frequent(listing, 2, 2).labels == ("auto", "haus")
        assert most_frequent(listing, None, 2).labels == ("auto", "baum", "haus")
        with pytest.raises(GestaError, match="4 classes with at least 2 videos, but only 3 of 5 have that many"):
            most_frequent(listing, 4, 2)

    def test_a_format_says_which_signs_and_other_data_are_read_like_it(self, tmp_path: Path) -> None:
        root = signs(tmp_path, "file,sign\n" + "".join(f"videos/{i}.mp4,{w}\n" for i, w in enumerate("aaabbcd")))
        for layout in ("ledasila+2x2", "+2x2", "ledasila+allx2"):
            listing = read(root, layout)
            assert listing.labels == ("a", "b") and listing.layout.endswith(layout.removeprefix("ledasila"))
        assert read(root, like="ledasila+1x1").labels == ("a",)
        assert read(root, "ledasila", like="ledasila+1x1").labels == ("a", "b", "c", "d")  # named: that is meant
        assert read(root, like="ucf101+split2").layout == "ledasila"  # of other data: says nothing here
        with pytest.raises(GestaError, match=r"read as ledasila\+9x1, as in training; --format ledasila reads all"):
            read(root, like="ledasila+9x1")
        for wrong in ("ledasila+rgb", "ledasila+0x2", "ledasila+2x2+3x3", "+", "isogd_rgb"):
            with pytest.raises(GestaError, match="unknown format"):
                read(root, wrong)

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ("file,word\nvideos/1.mp4,haus\n", "expected the columns file,sign"),
            ("file,sign\nvideos/1.mp4,\n", r"signs\.csv:2: a row needs"),
            ("file,sign\nvideos/1.mp4,a\nvideos/1.mp4,b\n", "already has a row"),
            ("file,sign\nvideos/77.mp4,a\nvideos/78.mp4,b\n", r"names 2 videos(.|\n)*videos/77\.mp4\n  videos/78"),
        ],
    )
    def test_tables_that_are_wrong(self, rows: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(GestaError, match=message):
            read(signs(tmp_path, rows))
