"""The model server: one process that answers for one revision, or a folder of models.

A request's way: ``edge`` (identity, arm, deadline) - ``inference`` (read, decode, answer, encode, count) -
``dataplane`` (the one answer behind every protocol) - ``engine`` (batches on worker threads) - and back.
``repository`` holds the models, ``management`` changes which; ``lifespan`` is the process's way: bind, load,
warm up, serve, drain.
"""
