"""Trains the models that come with ModelServe, and writes their packages to `models/`."""

from modelserve._kit.quiet import silence

silence()  # before any of them imports onnxruntime, and for the programs that they start
