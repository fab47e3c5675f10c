"""Bytes to request and response to bytes, for each protocol that clients speak. Pure: no socket, no clock.

``oip``        Open Inference Protocol v2 over REST
``oip_grpc``   the same over gRPC, with its ``messages``
``binary``     tensors as bytes, behind the JSON or in a message
``kserve_v1``  KServe's and TensorFlow Serving's ``{"instances": [...]}`` and ``{"inputs": ...}``
``tasks``      text or an image in, entities or labels out
``multipart``  the parts of a form, for ``tasks``
``packing``    content encodings, in and out
``payload``    the bytes of an answer and what its head says about them
``faults``     an error as a body, the same shape in all three
``sampled``    what is remembered of an answer so that two revisions can be compared
"""
