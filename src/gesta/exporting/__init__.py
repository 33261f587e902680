"""PyTorch network -> OpenVINO, ONNX, each compared with it on real clips before it is kept."""
