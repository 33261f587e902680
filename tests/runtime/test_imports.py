"""What is imported when: nothing heavy with `import gesta`, and no torch to run an exported bundle."""

import subprocess
import sys

import pytest
from tiny_bundles import write_video

HEAVY = ("torch", "openvino", "cv2", "av", "pydantic", "numpy", "typer")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_gesta_brings_nothing_heavy():
    assert run(f"import sys, gesta; print([m for m in {HEAVY} if m in sys.modules])").strip() == "[]"


@pytest.mark.slow
def test_import_gesta_takes_little_time():
    code = "import time; start = time.perf_counter(); import gesta; print(time.perf_counter() - start)"
    assert min(float(run(code)) for _ in range(3)) < 0.3


@pytest.mark.integration
def test_an_exported_bundle_runs_without_torch(joint, tmp_path):
    video = write_video(tmp_path / "a.mkv")
    code = (
        "import sys\n"
        "for name in ('torch', 'onnxruntime', 'lightning'): sys.modules[name] = None\n"
        "import gesta\n"
        f"recognizer = gesta.load({str(joint)!r})\n"
        f"print(recognizer.predict({str(video)!r}).label, len(list(recognizer.stream({str(video)!r}))))\n"
        f"from gesta.cli import main; sys.argv = ['gesta', 'predict', {str(joint)!r}, {str(video)!r}]\n"
        "main()\n"
    )
    assert len(run(code).splitlines()) == 2


def test_unknown_attribute():
    import gesta

    with pytest.raises(AttributeError, match="no attribute 'recognizer'"):
        _ = gesta.recognizer
