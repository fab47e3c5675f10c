"""The route table as Envoy reads it: one bootstrap file for the process, two discovery files for the traffic.

Weights live in the routes file alone, so that a change of weights is one atomic switch of one resource and
touches no connection. Clusters are added before the routes that name them and removed after.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelserve.domain.routes import RouteTable
from modelserve.routing.envoy.checks import check
from modelserve.routing.envoy.clusters import clusters_of
from modelserve.routing.envoy.discovery import Discovery
from modelserve.routing.envoy.door import CLUSTERS_FILE, ROUTES_FILE, Door, bootstrap
from modelserve.routing.envoy.routes import ROUTES, routes_of

__all__ = [
    "CLUSTERS_FILE",
    "ROUTES",
    "ROUTES_FILE",
    "Discovery",
    "Door",
    "Rendering",
    "bootstrap",
    "render",
]


@dataclass(frozen=True, slots=True)
class Rendering:
    """A route table in Envoy's words."""

    clusters: Discovery
    routes: Discovery


def render(table: RouteTable) -> Rendering:
    """Equal tables render equally. Raises InvalidSpec for a table that contradicts itself."""
    check(table)
    return Rendering(clusters_of(table), routes_of(table))
