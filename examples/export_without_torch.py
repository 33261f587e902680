"""Export a trained model to ONNX, and run it without PyTorch.

python examples/export_without_torch.py runs/example/bundle new_video.mp4
"""

import subprocess
import sys

import gesta

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # from here on `import torch` fails, as if it were not installed
import gesta
bundle, video = sys.argv[1:]
print(gesta.load(bundle, engine="onnxruntime").predict(video).label)
"""


def main(bundle, video):
    small = gesta.export(bundle, to="onnx", precision="fp16")  # checked against PyTorch before it is written
    print(f"{small.bundle}: {small.metrics['bytes']} bytes, PyTorch's weights {small.metrics['bytes_torch']}")
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, str(small.bundle), str(video)], check=True)
    return small.bundle


if __name__ == "__main__":
    main(*sys.argv[1:])
