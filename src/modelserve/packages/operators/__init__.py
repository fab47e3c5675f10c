"""What an ONNX graph's operators tell that its tensors do not, read from the file's wire format."""
