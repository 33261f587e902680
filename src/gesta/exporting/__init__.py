"""Export of PyTorch networks to OpenVINO and ONNX, each compared with PyTorch on real clips before it is kept."""
