"""Captions: measures by hand, what captions.csv may hold, padding, and a training from features to sentences."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from text.described_features import SAID, write

from gesta import api
from gesta.experiments.train import task_of
from gesta.models.captions import CaptionNet
from gesta.schema import GestaError
from gesta.synthetic import described
from gesta.tasks.catalog import load_recipe, of_data
from gesta.tasks.encoders import skeleton_encoder
from gesta.tasks.text.caption_data import read, read_captions
from gesta.tasks.text.caption_fit import with_halvings
from gesta.tasks.text.caption_metrics import cider, rouge_l, scores
from gesta.tasks.text.caption_task import TASK
from gesta.tasks.text.glosses import gloss_batch, gloss_loss
from gesta.tasks.text.manifest import FeatureUse
from gesta.training.run import Run

pytestmark = pytest.mark.integration


def test_rouge_l_by_hand() -> None:
    # common subsequence "a cat sat" of 3; precision 3/4, recall 3/5
    precision, recall, beta = 3 / 4, 3 / 5, 1.2
    expected = (1 + beta**2) * precision * recall / (recall + beta**2 * precision)
    assert rouge_l("a cat sat down", ["a black cat sat there"]) == pytest.approx(expected)
    assert rouge_l("a cat", ["a cat", "a dog runs"]) == pytest.approx(1.0)
    assert rouge_l("a cat", ["the dog"]) == 0 == rouge_l("", ["the dog"])


def test_cider_by_hand() -> None:
    # two videos; "a" is in both (idf 0), "b" and "c" in one each (idf log 2); bigrams "a b", "a c" in one each
    references = [["a b"], ["a c"]]
    assert cider(["a b", "a c"], references) == pytest.approx(10 * (1 + 1) / 4)  # n = 3 and 4 have none
    assert cider(["a c", "a b"], references) == pytest.approx(0)
    one = math.log(2)
    # said "b b": unigrams {b: 2 idf}, clipped to {b: idf}, cosine 1/2; its bigram "b b" is in no reference
    assert cider(["b b", "a c"], references) == pytest.approx(10 * (1 / 2 / 4 + 2 / 4) / 2)
    # several references: their mean; said "b c": (b, c) with "b": 1 / sqrt 2; "b" has one bigram less
    assert cider(["b c", "a c"], [["a b", "b"], ["a c"]]) == pytest.approx(
        10 * ((one / (math.sqrt(2) * one)) * (1 + math.exp(-1 / 72)) / 2 / 4 + 2 / 4) / 2
    )


def test_cider_and_rouge_equal_the_coco_evaluation() -> None:
    """The expected values are those of pycocoevalcap 1.2 (CIDEr-D, ROUGE-L) for these sentences."""
    said = [
        "a person waves with the left hand",
        "somebody knocks twice and then waves",
        "a tall person claps",
        "a a a person",
        "she draws a circle with both hands slowly and then waves",
    ]
    references = [
        ["a person waves with the left hand", "somebody waves the left hand"],
        ["a person knocks two times and waves", "somebody knocks twice"],
        ["a short person claps their hands twice"],
        ["a person bowls"],
        ["a person draws a circle", "someone draws a large circle with both hands"],
    ]
    assert cider(said, references) == pytest.approx(2.6650353232917814)
    found = [rouge_l(text, row) for text, row in zip(said, references, strict=True)]
    assert found == pytest.approx([1.0, 0.70930233, 0.51988636, 0.58653846, 0.65008881])


def test_scores() -> None:
    pytest.importorskip("sacrebleu")
    found = scores(
        ["a person waves", "a person knocks twice"],
        [["a person waves", "somebody greets somebody"], ["somebody knocks two times"]],
    )
    assert found["word_for_word"] == 0.5 and found["meaning"] == 1.0 and 0 < found["bleu"] < 100
    assert "meaning" not in scores(["a person waves"], [["a dog barks"]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,caption\n", "describes none"),
        ("file,caption\na,b\n", "has the columns file, caption; expected path,caption"),
        ("path,caption\nx.mp4,\n", "line 2 has no caption"),
        ("path,caption\n,a person waves\n", "line 2 has no path"),
        ("path,caption\nother.mp4,a person waves\n", "describes none of the .* first of its paths is 'other.mp4'"),
        ("", "has the columns none"),
        ("path,caption\nx.mp4,\0\n", "line 2 has no caption"),
        (
            "path,caption\nx.mp4,a person waves, then claps\n",
            "line 2: it has 3 cells, the first line 2; put texts with commas in quotation marks",
        ),
        ('path,caption\nx.mp4,"a person\ny.mp4,waves\n', "line 2: a quotation mark is opened but not closed"),
    ],
)
def test_captions_that_cannot_be_used(text: str, said: str, tmp_path: Path) -> None:
    folder = write(tmp_path, takes=1)
    (folder / "captions.csv").write_text(text, encoding="utf-8")
    with pytest.raises(GestaError, match=said):
        read(folder)


def test_captions_by_label_and_words(tmp_path: Path) -> None:
    folder = write(tmp_path, takes=1)
    lines = ["label,caption", 'up,"A person, waving."', "up,A person waves", "other,nobody"]
    (folder / "captions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    listing = read(folder)
    assert {s.label for s in listing.samples} == {"up"}
    assert listing.samples[0].captions == ("a person , waving", "a person waves")
    assert [p.reason for p in listing.problems] == ["other is not among the recordings."]
    (folder / "captions.csv").unlink()
    with pytest.raises(GestaError, match=r"has no captions.csv"):
        read(folder)


def test_captions_as_spreadsheets_write_them(tmp_path: Path) -> None:
    folder = write(tmp_path, takes=1)
    name = "train0_up_0.mp4"
    for text in (
        f"\nPath; Caption\r\n.\\{name};a person waves, then claps\r\n",
        f"sep=;\npath;caption\n{name};a person waves, then claps\n",
    ):
        (folder / "captions.csv").write_bytes(text.encode("utf-16"))
        assert [(s.id, s.captions) for s in read(folder).samples] == [(name, ("a person waves , then claps",))]


def test_groups(tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text("path,caption,group\na.mp4,x,seen\na.mp4,y,seen\n", encoding="utf-8")
    found = read_captions(tmp_path / "captions.csv")
    assert found.captions == {"a.mp4": ("x", "y")} and found.groups == {"a.mp4": "seen"}


def test_glosses(tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_text("path,caption,glosses\na.mp4,x,WAVE LEFT\na.mp4,y,\nb.mp4,z,\n", encoding="utf-8")
    assert read_captions(path).glosses == {"a.mp4": ("WAVE", "LEFT")}
    path.write_text("path,caption,glosses\na.mp4,x,WAVE\na.mp4,y,CLAP\n", encoding="utf-8")
    with pytest.raises(GestaError, match=r"line 3 has other glosses for a.mp4 than an earlier line"):
        read_captions(path)


def test_the_loss_of_glosses_is_that_of_the_videos_that_have_some() -> None:
    batch = {k: torch.from_numpy(v) for k, v in gloss_batch([[1, 2], []]).items()}
    assert batch["glosses"].tolist() == [[1, 2], [0, 0]] and batch["gloss_lengths"].tolist() == [2, 0]
    logits = torch.zeros(2, 2, 3)  # steps videos symbols: two steps for two glosses leave one path, of (1/3)^2
    assert float(gloss_loss(logits, torch.tensor([2, 2]), batch)) == pytest.approx(math.log(3))


def test_features_of_both_tasks_are_found(tmp_path: Path) -> None:
    folder = write(tmp_path, takes=1)
    assert TASK.recognizes(folder, None) and of_data(folder).name == "features"


def test_described_recordings_train_recognizers_too(tmp_path: Path) -> None:
    described.make(tmp_path, people=3, recordings=1, videos=False, workers=1)
    assert of_data(tmp_path).name == "captions"
    assert task_of(tmp_path, "dd-net", None).name == "clips"
    with pytest.raises(GestaError, match="contains data for captions"):
        task_of(tmp_path, "kazakos/net1", None)


@pytest.mark.parametrize("halvings", [0, 1, 2])
def test_padding_changes_nothing(halvings: int) -> None:
    torch.manual_seed(0)
    settings = {"features": 3, "target_tokens": 7, "embedding": 5, "hidden": 6, "layers": 1, "attention": True}
    network = CaptionNet(**settings, halvings=halvings)
    network.fit_statistics(torch.randn(50, 3) * 4 + 2)
    videos, inputs = [torch.randn(length, 3) for length in (2, 5)], torch.randint(0, 7, (4, 2))
    batch = torch.nn.utils.rnn.pad_sequence(videos)
    network(batch, torch.tensor([2, 5]), inputs)  # the statistics of the normalizations are no longer 0 and 1
    together = network.eval()(batch, torch.tensor([2, 5]), inputs)
    assert network.encode(batch, torch.tensor([2, 5])).mask.sum(0).tolist() == [[2, 5], [1, 3], [1, 2]][halvings]
    for b, video in enumerate(videos):
        alone = network(video.unsqueeze(1), torch.tensor([len(video)]), inputs[:, b : b + 1])
        torch.testing.assert_close(together[:, b : b + 1], alone)


SMALL = {
    "model.embedding": 16,
    "model.hidden": 24,
    "model.dropout": 0,
    "training.epochs": 90,
    "training.batch": 8,
    "training.averaging": 0,
    "training.learning_rate": 0.01,
    "input.minimum_count": 1,
}


@pytest.fixture(scope="module", params=[0, 1])
def trained(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, Any]:
    data, out = write(tmp_path_factory.mktemp("described")), tmp_path_factory.mktemp("run")
    small = {**SMALL, "model.halvings": request.param}
    return {"data": data, "bundle": api.train(data, recipe="text/video-captions", out=out, **small).bundle}


def test_from_features_to_sentences(trained: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu")
    found = api.evaluate(trained["bundle"], trained["data"], out=tmp_path).document
    assert found["meaning"] > 0.9 > found["most_frequent"]["meaning"]
    assert found["engine"] == "openvino" and found["n"] == 12
    model = api.load(trained["bundle"])
    rising = np.stack([np.linspace(0, 1, 5), np.ones(5)], 1).astype(np.float32)
    assert model.predict(rising).text in SAID["up"]
    with pytest.raises(GestaError, match=r"takes features \[T, 2\], not \[5, 3\]"):
        model.predict(np.zeros((5, 3), np.float32))
    with pytest.raises(GestaError, match="not finite"):
        model.predict(np.full((5, 2), np.nan, np.float32))
    assert json.loads((tmp_path / "metrics.json").read_text())["n"] == 12
    assert (tmp_path / "captions.csv").read_text().startswith("video,said,references")


@pytest.mark.integration
@pytest.mark.parametrize("recipe", ["text/video-captions", "text/video2vec"])
def test_onnx_takes_videos_of_any_length_with_pooling(recipe: str, tmp_path: Path) -> None:
    data = write(tmp_path / "data")
    small = {**SMALL, "model.halvings": 2, "training.epochs": 2}
    one = api.train(data, recipe=recipe, out=tmp_path / "run", **small).bundle
    other = api.load(api.export(one, "onnx", tmp_path / "onnx", data=data).bundle)
    assert other.engine.name == "onnxruntime"
    for length in (1, 5, 26):
        video = np.random.default_rng(length).normal(size=(length, 2)).astype(np.float32)
        there, here = other.predict(video), api.load(one, "torch").predict(video)
        if recipe == "text/video2vec":
            np.testing.assert_allclose(there, here, atol=1e-5)
        else:
            assert there.score == pytest.approx(here.score, abs=1e-4)


@pytest.mark.parametrize(("usual", "times"), [(5, 0), (39, 0), (40, 1), (79, 1), (80, 2), (1000, 2)])
def test_steps_are_halved_where_there_are_many(usual: int, times: int) -> None:
    recipe, use = load_recipe("text/video-captions"), FeatureUse(recipe=skeleton_encoder()[0], width=2, usual=usual)
    found, notes = with_halvings(recipe, use)
    assert found.model.halvings == times and f"a video usually has {usual} features" in notes[0]
    assert with_halvings(found, use) == (found, ())


def test_images_get_captions(gesta: Any, tmp_path: Path) -> None:
    data, features, run = tmp_path / "pictures", tmp_path / "features", tmp_path / "run"
    data.mkdir()
    rng = np.random.default_rng(0)
    names = [f"{i:02}.png" for i in range(24)]
    for i, name in enumerate(names):
        low, high = (150, 255) if i % 2 else (0, 100)
        cv2.imwrite(str(data / name), rng.integers(low, high, (48, 48, 3), dtype=np.uint8))
    told = {name: "a bright picture" if i % 2 else "dark noise" for i, name in enumerate(names)}
    (data / "captions.csv").write_text("path,caption\n" + "".join(f"{n},{text}\n" for n, text in told.items()))
    parts = "".join(f"{name},{'test' if i >= 20 else 'train'}\n" for i, name in enumerate(names))
    (data / "index.csv").write_text("path,split\n" + parts)
    words = ("--backbone", "resnet18", "--weights", "random", "--size", 32, "--every", 1)
    done = gesta("features", data, *words, "--out", features)
    assert done.exit_code == 0, done.stderr
    sets = [f"--set={s}" for s in ("training.epochs=20", "input.minimum_count=1", "training.validation=false")]
    done = gesta("train", features, "--recipe", "text/video-captions", *sets, "--out", run)
    assert done.exit_code == 0, done.stderr
    done = gesta("evaluate", run / "bundle", features, "--json")
    found = json.loads(done.stdout)
    assert (found["n"], found["word_for_word"]) == (4, 1.0)


def test_recordings_without_features_are_refused(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    (tmp_path / "captions.csv").write_text("path,caption\nclip.mp4,a person waves\n", encoding="utf-8")
    recipe = load_recipe("text/video-captions")
    parts = TASK.split(TASK.read(tmp_path), 0, recipe.model_dump())
    with pytest.raises(GestaError, match=r"contains no stored features, .* gesta features"):
        TASK.fit(parts, recipe, Run(tmp_path / "run", progress=False))
