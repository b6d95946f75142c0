"""Models for use elsewhere: ONNX, int8, and how long they take."""
