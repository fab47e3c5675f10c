"""Many requests to one batch, one batch's outputs to many responses. Pure: time comes in as an argument.

A *call* is one client request in the queue; it has *items*, each of one or more *rows*. A *batch* is the
items that run through the model together. A *piece* is one item's part of a batch's outputs.
"""
