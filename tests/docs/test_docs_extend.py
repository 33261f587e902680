"""docs/add_a_model.md and docs/add_a_dataset.md, followed to the letter; and what happens where one does not."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

from gesta import outside
from gesta.recipes import document_of
from gesta.recipes import names as recipe_names

pytestmark = pytest.mark.integration

DOCS = Path(__file__).parents[2] / "docs"
MOVES = {"right": (3, 0), "left": (-3, 0), "up": (0, -2)}
SMALL = ("--set", "input.size=32", "--set", "training.epochs=1")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def write_files(page: str) -> None:
    """The blocks of a page whose first line is a file's name, in the current folder."""
    for block in [*blocks(page, "python"), *blocks(page, "toml")]:
        path = Path(block.partition("\n")[0].removeprefix("# "))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block, encoding="utf-8")


def commands(page: str) -> list[list[str]]:
    return [shlex.split(line) for block in blocks(page, "sh") for line in block.splitlines()]


def film(path: Path, label: str, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (dx, dy), writer = MOVES[label], cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 15, (64, 48))
    for t in range(-8, 8):
        image = np.full((48, 64, 3), 40, np.uint8)
        x, y = 28 + dx * t, 20 + number + dy * t
        image[max(0, y) : y + 8, max(0, x) : x + 8] = 230
        writer.write(image)
    writer.release()


def forget() -> None:
    """As in a new process: nothing of the package is imported, no name was given."""
    for name in [name for name in sys.modules if name.split(".")[0] == "my_package"]:
        del sys.modules[name]
    outside._named.clear()
    outside.installed.cache_clear()


@pytest.fixture(autouse=True)
def new_process(tmp_path, monkeypatch):
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(outside.ALLOWED, raising=False)
    monkeypatch.chdir(tmp_path)
    forget()
    yield
    forget()


@pytest.fixture
def call(gesta, monkeypatch):
    """A command of a page, VARIABLE=VALUE before it or not, as in a process of its own."""

    def run(*words):
        with monkeypatch.context() as here:
            given = [word for word in words[:1] if "=" in word]
            for word in given:
                here.setenv(*word.split("="))
            forget()
            return gesta(*[word for word in words[len(given) :] if word != "gesta"])

    return run


@pytest.fixture
def my_gestures():
    for label in MOVES:
        for number in range(5):
            film(Path("my_gestures", label, f"{number}.avi"), label, number)


@pytest.fixture
def my_data():
    rows = []
    for number, (person, label) in enumerate((p, label) for p in ("anna", "ben", "cleo", "dan") for label in MOVES):
        film(Path("my_data", f"{number:04}.avi"), label, number % 4)
        rows.append({"video": f"{number:04}.avi", "gesture": label, "person": person, "start": 0.2, "end": 1.0})
    rows.append({**rows[0], "video": "lost.avi"})
    Path("my_data", "takes.json").write_text(json.dumps(rows))


@pytest.fixture
def installed(monkeypatch):
    """Installs the page's package: its files and the entry points of its pyproject.toml on Python's path."""

    def install(page: str) -> None:
        write_files(page)
        project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
        info = Path("site", f"my_package-{project['version']}.dist-info")
        info.mkdir(parents=True)
        shutil.move("my_package", "site")
        points = [
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in given.items())
            for group, given in project["entry-points"].items()
        ]
        (info / "entry_points.txt").write_text("\n".join(points))
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        monkeypatch.syspath_prepend(str(Path("site").absolute()))

    return install


@pytest.fixture
def trained(call, request):
    """A bundle of the page's network."""
    request.getfixturevalue("my_gestures")
    write_files("add_a_model.md")
    done = call("train", "my_gestures", "--set", "model.name=my_package.net:MyNet", *SMALL, "--out", "run")
    assert done.exit_code == 0, done.stderr
    return Path("run/bundle")


@pytest.mark.slow  # each command by itself: test_installed_network_..., test_strangers_code_is_not_imported
@pytest.mark.usefixtures("my_gestures")
def test_model_page_runs_as_it_stands(call):
    write_files("add_a_model.md")
    for words in commands("add_a_model.md"):
        done = call(*words)
        assert done.exit_code == 0, (words, done.stderr)
    model = json.loads(Path("runs/mine/bundle/manifest.json").read_text())["recipe"]["model"]
    assert model == {"name": "my_package.net:MyNet", "options": {"features": 8}}


@pytest.mark.usefixtures("my_data")
def test_data_page_runs_as_it_stands(call):
    write_files("add_a_dataset.md")
    for words in commands("add_a_dataset.md"):
        done = call(*words)
        assert done.exit_code == 0, (words, done.stderr)
        if "inspect" in words:
            assert "12 labeled" in done.stdout and "anna (3)" in done.stdout and "lost.avi" in done.stdout
    assert "3 of 1 person" in done.stdout


@pytest.mark.usefixtures("my_gestures")
def test_installed_network_has_a_short_name_and_needs_no_permission(call, installed):
    installed("add_a_model.md")
    done = call("train", "my_gestures", "--set", "model.name=my_net", *SMALL, "--out", "run")
    assert done.exit_code == 0, done.stderr
    done = call("evaluate", "run/bundle", "my_gestures", "--engine", "torch")
    assert done.exit_code == 0, done.stderr


@pytest.mark.usefixtures("my_data")
def test_installed_reader_is_detected(call, installed):
    installed("add_a_dataset.md")
    assert "layout      takes" in call("data", "inspect", "my_data").stdout
    assert call("data", "inspect", "my_data", "--format", "takes+2x3").exit_code == 0


def test_strangers_code_is_not_imported(call, trained):
    Path("my_package/net.py").write_text("from pathlib import Path\nPath('imported').touch()\n")
    for words in (
        ("evaluate", trained, "my_gestures", "--engine", "torch"),
        ("export", trained, "--to", "onnx", "--out", "o"),
        ("train", "my_gestures", "--from", trained, "--out", "further"),
        ("benchmark", trained),
    ):
        done = call(*map(str, words))
        assert "imported" not in [path.name for path in Path().iterdir()], words
        assert words[0] == "benchmark" or (done.exit_code == 1 and "GESTA_ALLOW_IMPORT=my_package.net" in done.stderr)
    assert call("evaluate", str(trained), "my_gestures").exit_code == 0


@pytest.mark.parametrize("place", ["os:system", "subprocess:run", "builtins:exec", "pathlib:Path"])
def test_function_of_a_module_that_is_there_is_no_network_for_a_bundle(place):
    from gesta.models.catalog import build
    from gesta.schema import GestaError

    with pytest.raises(GestaError, match="a bundle may not import by itself"):
        build(place, classes=2)


def test_class_that_is_imported_is_taken(monkeypatch):
    from gesta.models.catalog import build

    write_files("add_a_model.md")
    with monkeypatch.context() as here:
        here.syspath_prepend(".")
        importlib.import_module("my_package.net")
    assert type(build("my_package.net:MyNet", classes=2, options={"features": 4})).__name__ == "MyNet"


@pytest.mark.parametrize(
    ("source", "change", "said"),
    [
        (None, "model.name=my_package.nett:MyNet", "no module 'my_package.nett'"),
        (None, "model.name=my_package.net:MyNett", "my_package.net has no 'MyNett'. Did you mean MyNet?"),
        (None, "model.options.color=3", "unexpected keyword argument 'color'"),
        (None, "model.width=0.5", "model.width: my_package.net:MyNet comes from another package"),
        ("import nothing_such", "", "No module named 'nothing_such' (net.py, line 1)"),
        ("def MyNet(classes): return 3", "", "it returns int, not a torch.nn.Module"),
        ("from torch import nn\ndef MyNet(classes): return nn.Flatten()", "", "expected logits [1, 3]"),
        ("from torch import nn\ndef MyNet(classes): return nn.Linear(2, 3)", "", "does not take a clip uint8"),
    ],
)
@pytest.mark.usefixtures("my_gestures")
def test_network_that_does_not_fit_is_told_in_one_line(call, source, change, said):
    write_files("add_a_model.md")
    if source is not None:
        Path("my_package/net.py").write_text(source)
    sets = [word for one in ("model.name=my_package.net:MyNet", change) if one for word in ("--set", one)]
    done = call("train", "my_gestures", *sets, *SMALL, "--out", "run")
    assert done.exit_code == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("layout", "source", "said"),
    [
        ("my_package.none", "", "no module 'my_package.none'"),
        ("my_package.reader", "", "my_package.reader is not a reader: it has no function read(root)"),
        (
            "my_package.reader",
            "def read(root): return 1 / 0",
            "failed: ZeroDivisionError: division by zero (reader.py, line 1)",
        ),
        ("my_package.reader", "def read(root): return []", "does not return a gesta.schema.Listing"),
        ("my_package.reader+3", "def read(root): return []", "unknown format 'my_package.reader+3'"),
        ("my_pakage", "", "unknown format 'my_pakage'"),
    ],
)
@pytest.mark.usefixtures("my_gestures")
def test_reader_that_does_not_fit_is_told_in_one_line(call, layout, source, said):
    Path("my_package").mkdir()
    Path("my_package/reader.py").write_text(source)
    done = call("data", "inspect", "my_gestures", "--format", layout)
    assert done.exit_code in (1, 2) and said in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.usefixtures("my_gestures")
def test_options_are_for_other_packages(call):
    done = call("train", "my_gestures", "--set", "model.options.a=3", "--out", "run")
    assert done.exit_code == 2 and "options is for networks of other packages, not for cnn3d_lstm" in done.stderr


OTHERS = """
from torch import nn
from gesta.models.pose_layers import PoseNet

class Mean(nn.Module):
    def __init__(self, *, features, classes):
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, features, lengths=None):
        return self.linear(features.mean(1))

class Flat(nn.Module):
    def __init__(self, classes, hidden=4):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3072, hidden), nn.Linear(hidden, classes))

    def forward(self, images):
        return self.layers(images.float() / 255)

class Pose(PoseNet):
    def __init__(self, *, joints, channels, size):
        super().__init__()
        self.joints = joints
        self.linear = nn.Linear(channels * size * size, 3 * joints)

    def forward(self, hand):
        return self.linear(hand.flatten(1)).reshape(-1, self.joints, 3)
"""


@pytest.fixture
def others():
    Path("my_package").mkdir()
    Path("my_package/others.py").write_text(OTHERS)


@pytest.mark.usefixtures("others")
def test_hands_train_and_run_with_a_network_of_another_package(call, hand_data):
    sets = ["model.name=my_package.others:Pose", "input.size=16", "training.epochs=1", "training.batch=4"]
    words = [word for one in sets for word in ("--set", one)]
    done = call("train", str(hand_data), "--recipe", "kazakos/depth-net", *words, "--out", "run")
    assert done.exit_code == 0, done.stderr
    assert call("evaluate", "run/bundle", str(hand_data)).exit_code == 0
    assert "GESTA_ALLOW_IMPORT" in call("evaluate", "run/bundle", str(hand_data), "--engine", "torch").stderr


@pytest.mark.usefixtures("others")
def test_images_and_features_are_learned_by_networks_of_another_package(tmp_path):
    from calls import run_of

    from gesta.models.catalog import build_sequence
    from gesta.sources.cifar import Images
    from gesta.tasks.catalog import load_recipe
    from gesta.tasks.images.fit import fit

    named = {document_of(name).get("kind"): name for name in recipe_names()}
    sets = ["model.name=my_package.others:Flat", "model.options.hidden=3", "training.epochs=1"]
    pixels = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), np.uint8)
    images = Images(pixels, np.arange(8) % 2, ("cat", "dog"))
    run = run_of(tmp_path / "run", {"device": "cpu", "progress": False})
    assert fit(images, images, load_recipe(named["images"], sets), run).history
    settings = load_recipe(named["features"], ["model.name=my_package.others:Mean"]).model.model_dump()
    assert settings == {"name": "my_package.others:Mean"}
    assert build_sequence(features=5, classes=2, **settings).linear.in_features == 5
