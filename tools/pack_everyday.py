"""Makes src/gesta/bundle/everyday.zip, the packaged model of everyday gestures: its ONNX network in a zip.

gesta data make everyday DATA --people 60 --recordings 2
gesta train DATA --recipe spotting/tcn --out RUN
gesta export RUN/bundle --to onnx --data DATA --out EXPORTED
python tools/pack_everyday.py EXPORTED
"""

from __future__ import annotations

import sys
from dataclasses import replace

from gesta.bundle import io
from gesta.tasks import catalog

if __name__ == "__main__":
    _, bundle = catalog.of_bundle(sys.argv[1])
    named = replace(bundle, manifest=bundle.manifest.model_copy(update={"name": "everyday"}))
    made = io.save_zip(named, io.PACKAGED["everyday"])
    print(f"{made}: {made.stat().st_size} bytes")
