"""How long the front door waits for an answer, and how often it tries.

An inference changes nothing, so every one may be sent again, also after the connection broke half-way.
What bounds a storm: a fixed number of tries, a limit on retries at the same time (see ``clusters``), and that
an answer of 503 is sent again only where another server could do better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelserve.domain.routes import RoutePolicy
from modelserve.routing.envoy.vocabulary import TYPES, Json, seconds

BROKEN = "connect-failure,refused-stream,reset"
"""Retry when the connection failed: whoever is there now may answer."""
BROKEN_OR_REFUSED = f"{BROKEN},gateway-error,unavailable"
"""Retry on 502, 503 and 504 too: another server is there to answer."""

HOST_SELECTIONS = 25
"""Draws for a host that was not tried yet. Two hosts are drawn at random, and the one with fewer requests
under way is taken: of two, of which one is dead and so has none, that is the dead one in three draws of four.
With five draws more 18 of 100 retries went to it again, with these fewer than one of a thousand."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """When to try again: where one server is all there is, and where another could do better."""

    broken: str
    refused: str


def lasting(policy: RoutePolicy, retry_on: str, *, leave_revision: bool = False) -> Json:
    """As :func:`patience`, for a stream: it lasts as long as its client likes."""
    endless = replace(policy, timeout=0.0, per_try_timeout=None)
    return patience(endless, retry_on, leave_revision=leave_revision)


def patience(policy: RoutePolicy, retry_on: str, *, leave_revision: bool = False) -> Json:
    """The timeout and, if ``policy`` allows retries, the retry policy of a route action.

    ``leave_revision``: a retry goes to the next revision of a guarded cluster, not to the one that failed.
    """
    found: Json = {"timeout": seconds(policy.timeout)}
    if policy.retries:
        found["retry_policy"] = _retry(policy, retry_on)
        if leave_revision:
            found["retry_policy"]["retry_priority"] = _previous_priorities()
    return found


def _retry(policy: RoutePolicy, retry_on: str) -> Json:
    retry: Json = {
        "retry_on": retry_on,
        "num_retries": policy.retries,
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.1s"},
        "retry_host_predicate": [_previous_hosts()],
        "host_selection_retry_max_attempts": HOST_SELECTIONS,
    }
    if policy.per_try_timeout is not None:
        retry["per_try_timeout"] = seconds(policy.per_try_timeout)
    return retry


def _previous_hosts() -> Json:
    kind = f"{TYPES}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": kind}}


def _previous_priorities() -> Json:
    kind = f"{TYPES}.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
    return {
        "name": "envoy.retry_priorities.previous_priorities",
        "typed_config": {"@type": kind, "update_frequency": 1},
    }
