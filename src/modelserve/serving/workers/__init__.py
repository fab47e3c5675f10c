"""Several processes that read and write HTTP, before one that runs the model.

::

    parent ── starts and watches ──┬─► engine    the model, its queue, gRPC, and all that is counted
                                   ├─► worker ══ calls over engine's socket ══► engine
                                   └─► worker ══ calls over engine's socket ══► engine

A worker decodes a call, sends it to the engine, and encodes the answer; what is not inference the engine
answers itself, over HTTP. So all workers tell one truth, and the weights are in memory once.
"""
