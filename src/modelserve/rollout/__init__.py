"""Pure: spec, state and verdict to the next state."""

from modelserve.rollout.advance import advance
from modelserve.rollout.begin import begin, supersede
from modelserve.rollout.commands import command, roll_back
from modelserve.rollout.weights import MEASURE, candidate_weight, next_weight

__all__ = [
    "MEASURE",
    "advance",
    "begin",
    "candidate_weight",
    "command",
    "next_weight",
    "roll_back",
    "supersede",
]
