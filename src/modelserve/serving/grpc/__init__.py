"""The gRPC edge of a model server: Open Inference Protocol v2 with Triton's stream, and gRPC's health check.

A call's way: ``rpc`` (identity, arm, deadline) - ``inference`` (decode, answer, encode, count) - the one
``dataplane.answer()`` - and back. ``statuses`` says no, ``services`` lists what there is, ``server`` listens.

grpcio and protobuf come with ``modelserve[grpc]``: only ``server`` is imported from outside, when needed.
"""
