"""Makes the demo bundle of the package from a trained bundle: its streaming step in fp16, in a small zip.

    python tools/pack_demo.py BUNDLE DATA      writes src/gesta/bundle/demo.zip

The commands for the training are in the header of src/gesta/recipes/package.yaml.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gesta.bundle import io
from gesta.clips.cache import ClipCache
from gesta.engines import convert_openvino as openvino
from gesta.sources.catalog import read
from gesta.tasks.clips.manifest import ClipManifest

OUT = Path(__file__).parent.parent / "src" / "gesta" / "bundle" / "demo.zip"
PARITY_CLIPS = 32


def main(folder: Path, data: Path) -> None:
    samples = [s for s in read(data).samples if s.label is not None]
    transform = io.read(folder, ClipManifest).manifest.transform
    cache = ClipCache()
    clips = [cache.load(s, transform) for s in samples[:: len(samples) // PARITY_CLIPS]]
    parity = openvino.add(folder, clips, precision="fp16")
    bundle = io.read(folder, ClipManifest)
    step = bundle.find("step", "openvino", "fp16")
    assert step is not None
    io.save_zip(bundle, OUT, only=[step])
    print(f"{OUT}: {OUT.stat().st_size} bytes; {parity}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
