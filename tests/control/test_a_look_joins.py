"""A look joins what all observers saw."""

from dataclasses import dataclass, field

from modelserve.control.observing import observe
from modelserve.domain.guardrails import Guardrail, Segment
from modelserve.domain.rollouts import ArmCounts, Outcome, Phase, Rollout, Trials
from modelserve.domain.services import Judge
from modelserve.observers.base import Cursor, Sighting, Subject

ROLLOUT = Rollout("r", "m", "m-00001", "m-00002", Phase.CANARY, started=0.0, entered=0.0)
RULES = Judge(
    guardrails=(Guardrail(metric="error_rate", max_increase="1%", segment="tenant"),),
    segments=(Segment(name="tenant", header="x-tenant"),),
)


@dataclass
class Witness:
    """An observer that tells one thing, and remembers what it was asked about."""

    name: str
    sighting: Sighting
    asked: list[Subject] = field(default_factory=list)

    async def read(self, subject: Subject, cursor: Cursor) -> tuple[Sighting, Cursor]:
        self.asked.append(subject)
        return self.sighting, cursor


async def look(*sightings: Sighting):
    witnesses = [Witness(str(number), sighting) for number, sighting in enumerate(sightings)]
    seen, _ = await observe(witnesses, ROLLOUT, RULES, 0.5, (), 1.0)
    return seen, witnesses


async def test_the_outcomes_of_all_observers():
    acme, labels = Outcome(Trials(10, 1), Trials(5, 4)), Outcome(Trials(3, 0))
    seen, _ = await look(
        Sighting(ArmCounts(10, 1), ArmCounts(5, 4)),
        Sighting(outcomes={"error_rate by tenant=acme": acme}),
        Sighting(outcomes={"accuracy": labels}),
    )
    assert seen.outcomes == {"error_rate by tenant=acme": acme, "accuracy": labels}
    assert (seen.stable, seen.candidate) == (ArmCounts(10, 1), ArmCounts(5, 4))


async def test_the_values_of_plain_limits_of_which_none_means_no_data():
    seen, _ = await look(Sighting(values={"gpu": 0.5}), Sighting(values={"queue": None}))
    assert seen.values == {"gpu": 0.5, "queue": None}


async def test_two_stories_of_the_same_by_believing_the_earlier_observer():
    one, other = Outcome(Trials(1, 0)), Outcome(Trials(2, 2))
    seen, _ = await look(Sighting(outcomes={"spend": one}), Sighting(outcomes={"spend": other}))
    assert seen.outcomes == {"spend": one}


async def test_to_what_the_rollout_guards_itself_against():
    _, (witness,) = await look(Sighting())
    assert witness.asked[0].guardrails == RULES.guardrails
    assert witness.asked[0].segments == RULES.segments
