"""TensorRT on an NVIDIA GPU, an extra: `engine` runs a network, `cache` keeps what `build` makes of its ONNX file, and
`cuda` holds the few calls of the driver that they need."""
