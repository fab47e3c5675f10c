"""What the front door writes down of an experiment's participants, and an experiment that reads it."""

from __future__ import annotations

import json

from modelserve.control import experiments
from modelserve.control.exposures import Tail
from modelserve.domain.experiments import Experiment


def line(key, arm="a", at=1100.0, experiment="tone", request=""):
    """One line of the log of exposures; ``request`` is ``r-<key>`` unless told."""
    said = {"at": str(at), "experiment": experiment, "arm": arm, "key": key, "weights": "a=5000,b=5000"}
    return json.dumps(said | {"request_id": request or f"r-{key}"}) + "\n"


async def begin(serving, log, metrics):
    """Have ``tone``, two arms of the stable revision, run at the time 1100 and read ``log``."""
    serving.platform.exposures = Tail(log)
    serving.clock = 1090.0
    arms = [{"name": name, "weight": "50%", "revision": "stable"} for name in "ab"]
    spec = {"service": "m", "key": {"header": "x"}, "arms": arms, "metrics": metrics}
    document = {"metadata": {"name": "tone"}, "spec": spec}
    await experiments.apply(serving.platform, Experiment.model_validate(document))
    await serving.ticks(2)
    serving.clock = 1100.0
