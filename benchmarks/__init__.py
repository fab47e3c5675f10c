"""Benchmarks: each prints ratios against a baseline that is measured in the same run."""

from modelserve._kit.quiet import silence

silence()  # before any of them imports onnxruntime, and for the programs that they start
