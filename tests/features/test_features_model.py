"""Features from a trained model: its states, or its probabilities of the classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips.videos import write_video

from gesta import api
from gesta.schema import GestaError
from gesta.tasks.encoders import PROBABILITIES, encoder_of, model_encoder
from gesta.tasks.feature_store import FeatureFolder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "videos" / "waving"
    folder.mkdir(parents=True)
    write_video(folder / "a.mkv", rng.integers(0, 255, (24, 64, 64, 3), dtype=np.uint8), fps=10)
    return tmp_path / "videos"


def test_probabilities_are_those_the_model_predicts(data: Path, tmp_path: Path, gesta) -> None:  # type: ignore[no-untyped-def]
    model = api.load("demo")
    done = gesta("features", data, "--model", "demo", "--stage", "probabilities", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    found = FeatureFolder(tmp_path / "out").load("waving/a.mkv")
    expected = [p.probabilities for p in model.stream(data / "waving" / "a.mkv")]
    assert found.shape == (6, len(model.labels))
    np.testing.assert_allclose(found, [[row[label] for label in model.labels] for row in expected], atol=2e-3)


def test_a_model_of_probabilities_finds_them_again() -> None:
    recipe, _ = model_encoder("demo", stage=PROBABILITIES)
    assert recipe.stage == PROBABILITIES
    assert encoder_of(recipe, "demo")
    states, _ = model_encoder("demo")
    assert states.differences(recipe)


def test_other_stages_are_refused(data: Path, tmp_path: Path, gesta) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(GestaError, match="choose states or probabilities"):
        model_encoder("demo", stage="layer4")
    done = gesta("features", data, "--model", "demo", "--stage", "layer4", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "choose states or probabilities" in done.stderr
    assert not (tmp_path / "out").exists()
