"""The whole story of serving and rolling out, once per tick.

Every rollout: look at it, judge what was seen, decide what follows, write that down. Then bring up what the
route table needs, switch the traffic, and retire what the table no longer names. Nothing here remembers
anything that matters: a controller that is killed between two lines goes on from the records.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from modelserve.control import experiments
from modelserve.control.observing import observe, skip_unwatched
from modelserve.control.platform import Platform
from modelserve.control.recording import look_at, written
from modelserve.control.totals import add_up
from modelserve.control.workloads import workload, workloads
from modelserve.decision import opinion, stage
from modelserve.domain.rollouts import Decision, Observation, Phase, Rollout, Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.domain.workloads import Workload
from modelserve.errors import Unavailable
from modelserve.judge import Evidence, start
from modelserve.judge.evidence import VERSION as EVIDENCE_VERSION
from modelserve.rollout import advance, candidate_weight
from modelserve.routing.table import routes

log = logging.getLogger("modelserve.control")


async def reconcile(platform: Platform) -> None:
    """One tick. What can't be done is noted in ``platform.troubles`` and tried again at the next."""
    platform.replicas = await platform.launcher.replicas()
    troubles = {}
    for service in platform.book.services():
        try:
            await follow(platform, service.name)
        except Unavailable as error:
            troubles[service.name] = f"the rollout holds: {error.message}"
        except Exception as error:
            log.exception("the rollout of %s could not be followed", service.name)
            troubles[service.name] = f"the rollout holds: {error!r}; the controller's log says more"
    try:
        await experiments.follow(platform)
    except Unavailable as error:
        troubles["experiments"] = error.message
    except Exception as error:
        log.exception("experiments could not be followed")
        troubles["experiments"] = f"{error!r}; the controller's log says more"
    try:
        await put_in_force(platform)
    except Unavailable as error:
        platform.in_force = False
        troubles["front door"] = error.message
    platform.troubles = troubles


async def follow(platform: Platform, name: str) -> None:
    """Take one rollout one tick further, if there is one and its traffic flows as it was told to."""
    async with platform.book.lock:
        service = platform.book.get(name)
        rollout = service.active if service else None
        if service is None or rollout is None:
            return
        if not platform.in_force and rollout.phase is not Phase.LOADING:
            return
        spec, now = service.policy, platform.now()
        rollout = _readable(skip_unwatched(rollout, now))
        weight = candidate_weight(spec, rollout)
        seen, cursor = await observe(
            platform.observers,
            rollout,
            spec.judge,
            weight,
            platform.replicas,
            now,
            spec.shadow,
            service.repeats,
        )
        before = add_up(replace(rollout, cursor=cursor), seen)
        rollout, verdict = decide(spec, before, seen, now)
        looking = before.course is not Phase.LOADING
        look = look_at(before, stage(spec, before, now), seen, verdict, now) if looking else None
        seen = replace(seen, candidate_ready=seen.candidate_ready and platform.in_force)
        rollout, transition = advance(spec, rollout, seen, verdict, now)
        saved = written(look, before, rollout, transition, service.rules)
        await platform.book.save(service, *saved)


def _readable(rollout: Rollout) -> Rollout:
    """Without its evidence if another version of the judge wrote it: a rollout that is not judged would keep
    its weight, whatever happens. It begins to gather evidence anew, which promotes nobody sooner."""
    if not rollout.evidence or rollout.evidence.get("version") == EVIDENCE_VERSION:
        return rollout
    log.warning("the evidence of %s is of another version of the judge: it begins anew", rollout.id)
    return replace(rollout, evidence={})


def decide(spec: RolloutSpec, rollout: Rollout, seen: Observation, now: float) -> tuple[Rollout, Verdict]:
    """Ask the judge, and keep its evidence with the rollout. A hard failure needs no judge: it counts even
    where none can be asked."""
    if rollout.course is Phase.LOADING:
        return rollout, Verdict(Decision.CONTINUE, ("loading",))
    try:
        return _judged(spec, rollout, seen, now)
    except Exception:
        if not seen.hard_failure:
            raise
        log.exception("%s could not be judged; its hard failure counts all the same", rollout.candidate)
        return rollout, Verdict(Decision.ROLL_BACK, (seen.hard_failure,), metric="hard_failure")


def _judged(spec: RolloutSpec, rollout: Rollout, seen: Observation, now: float) -> tuple[Rollout, Verdict]:
    evidence = Evidence.load(rollout.evidence) if rollout.evidence else start(spec)
    evidence, verdict = opinion(spec, rollout, evidence, seen, now)
    return replace(rollout, evidence=evidence.dump()), verdict


async def put_in_force(platform: Platform) -> None:
    """Bring up, switch, retire: in this order, and retire only once the switch is known to have happened."""
    services = platform.book.services()
    needed = workloads(services, platform.allowed, platform.cache_url, platform.grpc, platform.machine_cache)
    retiring = [w for name, w in platform.applied.items() if name not in needed]
    await apply(platform, (*needed.values(), *retiring))
    platform.replicas = await platform.launcher.replicas()
    table = routes(
        (service.traffic() for service in services), platform.replicas, platform.control, platform.grpc
    )
    await platform.router.apply(table)
    platform.in_force = await platform.router.in_force(table)
    if platform.in_force and retiring:
        await apply(platform, needed.values())


async def take_over(platform: Platform) -> None:
    """Know what an earlier controller left running, so that it is retired only after the switch."""
    platform.replicas = await platform.launcher.replicas()
    running = {replica.workload for replica in platform.replicas}
    platform.applied = {
        name: workload(
            service, name, platform.allowed, platform.cache_url, platform.grpc, platform.machine_cache
        )
        for service in platform.book.services()
        for name in service.revisions
        if name in running
    }


async def apply(platform: Platform, wanted: Iterable[Workload]) -> None:
    platform.applied = {workload.revision: workload for workload in wanted}
    await platform.launcher.apply(tuple(platform.applied.values()))
