"""Python with onnxruntime and one session, and nothing else: what a server's memory is compared with."""

import os
import sys
import time

import numpy as np
import onnxruntime

begun = time.perf_counter()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"])
loaded = time.perf_counter() - begun
session.run(None, {"x": np.ones((1, 8), np.float32)})
print(loaded, flush=True)
sys.stdin.read()
