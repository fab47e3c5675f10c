"""What is measured, and the goals.

Shares of onnxruntime: above the best that other servers reached on two cores when they were measured before
this was written (small BERT: mosec 0.86; BERT-base: Triton 0.97; ResNet-18: Triton 0.89; ResNet-50: 0.81).
With one client, a server must do as well as one that does not batch.
"""

from __future__ import annotations

from typing import Protocol

from benchmarks.serving.lineup import Effort
from benchmarks.serving.memory import FlatMemory, Footprint
from benchmarks.serving.mixed_lengths import MixedLengths
from benchmarks.serving.results import Result
from benchmarks.serving.through_envoy import ThroughEnvoy
from benchmarks.serving.throughput import Throughput
from benchmarks.serving.wires import BINARY, JPEG, JSON


class Case(Protocol):
    name: str
    title: str

    def run(self, effort: Effort) -> Result: ...


CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Throughput("tiny-json", "One small Gemm, JSON", "tiny", JSON, {32: 0.6, 128: 0.6}, against="echo"),
        Throughput(
            "small-bert-json",
            "Small BERT, 64 tokens, JSON",
            "small-bert",
            JSON,
            {1: 0.95, 32: 0.95, 128: 0.95},
        ),
        Throughput(
            "small-bert-binary",
            "Small BERT, 64 tokens, binary",
            "small-bert",
            BINARY,
            {1: 0.95, 32: 0.95, 128: 0.95},
        ),
        Throughput("resnet-18-binary", "ResNet-18, binary", "resnet-18", BINARY, {32: 0.95}, longer=2),
        Throughput("bert-base-json", "BERT-base, 64 tokens, JSON", "bert-base", JSON, {32: 0.97}, longer=3),
        Throughput("resnet-50-json", "ResNet-50, JSON", "resnet-50", JSON, {32: 0.85}, longer=3),
        Throughput("resnet-50-binary", "ResNet-50, binary", "resnet-50", BINARY, {32: 0.95}, longer=3),
        Throughput("resnet-50-jpeg", "ResNet-50, JPEG uploads", "resnet-50", JPEG, {32: 0.9}, longer=3),
        ThroughEnvoy("envoy", "One small Gemm through Envoy", share=0.9, added=0.2),
        MixedLengths(
            "mixed-lengths", "Small BERT, 8 to 256 tokens, 70 % of capacity", "small-bert", goal=3.0
        ),
        Footprint("footprint", "Beside the model: memory and start", above=80.0, ready=1.0),
        FlatMemory("memory", "Memory over many requests", growth=5.0),
    )
}
