"""A load generator for inference servers: what ``modelserve bench`` runs.

*Closed loop*: so many clients, each of which asks again when it has its answer; shows what a server can do.
*Open loop*: requests leave at a given rate whether or not earlier ones were answered, as the requests of many
independent people do; shows how long those people wait. Latency counts from the time at which a request was
due, so that a stalled server cannot hold back the requests that would have told on it ("coordinated
omission"; Gil Tene, "How NOT to Measure Latency", 2015).

``plans`` says what is to be done, ``arrivals`` when, ``payloads`` and ``wire`` with which bytes; ``crew``
starts processes of ``worker``, in which ``loops`` drive ``connection``; ``tallies`` counts and ``report``
sums up.
"""
