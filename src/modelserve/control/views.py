"""What the control API shows of the book: plain JSON, the same for the command line and the web page."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from modelserve.control.book import Service
from modelserve.control.fetching import Progress
from modelserve.control.platform import Platform
from modelserve.domain.registry import ModelVersion, RegisteredModel
from modelserve.domain.rollouts import Rollout, Transition, Verdict
from modelserve.domain.workloads import Replica
from modelserve.rollout import candidate_weight

Json = dict[str, Any]


def platform_view(platform: Platform) -> Json:
    return {
        "in_force": platform.in_force,
        "troubles": dict(platform.troubles),
        "fetches": [fetch_view(progress) for progress in platform.fetcher.under_way],
        "services": [service_view(platform, service) for service in platform.book.services()],
    }


def fetch_view(progress: Progress) -> Json:
    return {
        "uri": progress.uri,
        "started": progress.started,
        "bytes": progress.here,
        "expected": progress.expected,
    }


def service_view(platform: Platform, service: Service) -> Json:
    replicas = [r for r in platform.replicas if r.workload in service.revisions]
    return {
        "name": service.name,
        "stable": service.stable,
        "parked": service.parked if service.active and service.traffic().candidate_weight == 1.0 else None,
        "model": service.spec.spec.model.uri,
        "replicas": [replica_view(replica) for replica in replicas],
        "rollout": rollout_view(service, service.rollout) if service.rollout else None,
        "experiment": service.experiment.name if service.experiment else None,
        "trouble": platform.troubles.get(service.name),
    }


def replica_view(replica: Replica) -> Json:
    return {
        "revision": replica.workload,
        "index": replica.index,
        "phase": replica.phase,
        "address": replica.address,
        "grpc_address": f"{replica.host}:{replica.grpc_port}" if replica.grpc_port else "",
        "pid": replica.pid,
        "restarts": replica.restarts,
        "reason": replica.reason,
        "remarks": list(replica.remarks),
    }


def rollout_view(service: Service, rollout: Rollout) -> Json:
    """A rollout for people: without the judge's internal state."""
    policy = service.spec_of(rollout.candidate).spec.rollout
    return {
        "id": rollout.id,
        "service": rollout.service,
        "stable": rollout.stable or None,
        "candidate": rollout.candidate,
        "phase": rollout.phase,
        "done": rollout.phase.done,
        "paused": rollout.paused,
        "step": rollout.step,
        "steps": list(policy.canary.ladder),
        "weight": candidate_weight(policy, rollout),
        "started": rollout.started,
        "entered": rollout.entered,
        "reason": rollout.reason,
        "totals": dict(rollout.totals),
        "verdict": verdict_view(rollout.verdict) if rollout.verdict else None,
    }


def verdict_view(verdict: Verdict) -> Json:
    """Infinite evidence has no JSON; it is shown as null."""
    view = asdict(verdict)
    for reading in view["readings"]:
        for key, value in reading.items():
            if isinstance(value, float) and not math.isfinite(value):
                reading[key] = None
    return view


def transition_view(transition: Transition) -> Json:
    return {
        "at": transition.at,
        "before": transition.before,
        "after": transition.after,
        "weight": transition.weight,
        "reason": transition.reason,
        "verdict": verdict_view(transition.verdict) if transition.verdict else None,
    }


def revision_view(service: Service, name: str) -> Json:
    revision = service.revisions[name]
    return {
        "revision": name,
        "service": service.name,
        "digest": revision.digest,
        "package": revision.package,
        "uri": revision.spec["spec"]["model"]["uri"],
        "created": revision.created,
        "role": _role(service, name),
    }


def registered_view(model: RegisteredModel) -> Json:
    versions = [version_view(version) for version in model.versions]
    return {"name": model.name, "aliases": dict(model.aliases), "versions": versions}


def version_view(version: ModelVersion) -> Json:
    return asdict(version) | {"reference": version.reference}


def _role(service: Service, name: str) -> str:
    active = service.active
    if active and name == active.candidate:
        return "candidate"
    if service.experiment and name != service.stable and name in service.experiment.revisions.values():
        return "arm"
    if name == service.stable:
        return "parked" if active and service.traffic().candidate_weight == 1.0 else "stable"
    return "retired"
