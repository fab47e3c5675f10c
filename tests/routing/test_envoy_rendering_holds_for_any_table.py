from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelserve.domain.routes import (
    Backend,
    Endpoint,
    Mirror,
    RoutePolicy,
    RouteTable,
    ServiceRoute,
    Weight,
)
from modelserve.errors import InvalidInput, InvalidSpec
from modelserve.routing.envoy import Discovery, Door, bootstrap, render
from modelserve.routing.envoy.shares import hundredths, weighted
from modelserve.routing.envoy.vocabulary import seconds

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,46}[a-z0-9])?", fullmatch=True)
ENDPOINTS = st.builds(Endpoint, st.just("127.0.0.1"), st.integers(1, 65535))


@st.composite
def _services(draw: st.DrawFn, name: str) -> ServiceRoute:
    backends = tuple(
        Backend(f"{name}-{number:05d}", tuple(draw(st.lists(ENDPOINTS, max_size=3, unique=True))))
        for number in range(draw(st.integers(1, 3)))
    )
    cuts = sorted(
        draw(st.lists(st.integers(0, 10_000), min_size=len(backends) - 1, max_size=len(backends) - 1))
    )
    edges = [0, *cuts, 10_000]
    percents = [(b - a) / 100 for a, b in itertools.pairwise(edges)]
    revisions = [backend.revision for backend in backends]
    mirror = draw(
        st.none()
        | st.builds(Mirror, st.sampled_from(revisions), st.integers(1, 10_000).map(lambda n: n / 100))
    )
    policy = draw(
        st.builds(
            RoutePolicy,
            st.floats(0.001, 600.0),
            st.none() | st.floats(0.001, 600.0),
            st.integers(0, 5),
        )
    )
    weights = tuple(Weight(r, p, "candidate") for r, p in zip(revisions, percents, strict=True))
    return ServiceRoute(name, weights, backends, draw(st.sampled_from(revisions)), mirror, policy)


@st.composite
def _tables(draw: st.DrawFn) -> RouteTable:
    names = draw(st.lists(NAMES, max_size=3, unique=True))
    services = tuple(draw(_services(name)) for name in names)
    return RouteTable(services, draw(st.none() | ENDPOINTS))


TABLES = _tables()


def _routes(table: RouteTable) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = render(table).routes.resources[0]["virtual_hosts"][0]["routes"]
    return found


@given(TABLES)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_envoy_accepts_any_table(envoy_accepts: Callable[[RouteTable], None], table: RouteTable) -> None:
    envoy_accepts(table)


@given(TABLES)
@settings(max_examples=30, deadline=None)
def test_weights_sum_to_the_whole_and_keep_two_decimals(table: RouteTable) -> None:
    shares = {route["name"]: route["route"]["weighted_clusters"]["clusters"]
              for route in _routes(table) if "weighted_clusters" in route.get("route", {})}  # fmt: skip
    for service in table.services:
        rendered = {share["name"].rpartition(".")[0]: share["weight"] for share in shares[service.service]}
        assert sum(rendered.values()) == 10_000
        assert rendered == {w.revision: round(w.percent * 100) for w in service.weights if w.percent > 0}


@given(TABLES)
@settings(max_examples=30, deadline=None)
def test_every_cluster_that_is_named_is_there(table: RouteTable) -> None:
    text = render(table).routes.text + render(table).clusters.text
    named = set(re.findall(r'"cluster": "([^"%]+)"', text)) | set(
        re.findall(r'"([a-z0-9-]+\.(?:live|guarded))"', text)
    )
    assert named <= render(table).clusters.names


@given(TABLES)
@settings(max_examples=30, deadline=None)
def test_equal_tables_render_equally_and_are_read_back(table: RouteTable) -> None:
    one, other = render(table), render(table)
    assert one == other
    for discovery in (one.clusters, one.routes):
        assert Discovery.parse(discovery.text) == discovery
        assert discovery.version in discovery.text


@given(TABLES, TABLES)
@settings(max_examples=30, deadline=None)
def test_new_clusters_beside_old_ones_lose_none(before: RouteTable, after: RouteTable) -> None:
    old, new = render(before).clusters, render(after).clusters
    both = new.over(old)
    assert both.covers(new)
    assert both.names == old.names | new.names
    assert len(both.names) == len(both.resources)


def test_a_change_of_weight_touches_no_cluster() -> None:
    def table(percent: float) -> RouteTable:
        backends = (Backend("ner-1", ()), Backend("ner-2", ()))
        weights = (Weight("ner-1", 100 - percent), Weight("ner-2", percent))
        return RouteTable((ServiceRoute("ner", weights, backends, "ner-1"),))

    versions = {render(table(percent)).clusters.version for percent in (0.0, 0.5, 50.0, 100.0)}
    assert len(versions) == 1
    assert len({render(table(percent)).routes.version for percent in (0.0, 0.5, 50.0, 100.0)}) == 4


def _route(*weights: Weight, **more: Any) -> RouteTable:
    given: dict[str, Any] = {
        "service": "ner",
        "backends": (Backend("ner-1", ()), Backend("ner-2", ())),
        "fallback": "ner-1",
    } | more
    return RouteTable((ServiceRoute(weights=weights or (Weight("ner-1", 100.0),), **given),))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (_route(Weight("ner-1", 60.0), Weight("ner-2", 30.0)), "sum to 100 percent, not ner-1 60, ner-2 30"),
        (_route(Weight("ner-1", 150.0), Weight("ner-2", -50.0)), "must be 0 or more"),
        (_route(Weight("ner-9", 100.0)), "weight of ner-9 .*'ner-9'; its backends are ner-1, ner-2"),
        (_route(fallback="ner-9"), "fallback of service 'ner' names revision 'ner-9'"),
        (_route(mirror=Mirror("ner-9", 5.0)), "mirror of service 'ner' names revision 'ner-9'"),
        (_route(service="a|.*"), r"'a\|\.\*' can't be routed"),
        (_route(backends=(Backend("ner-1", ()), Backend("ner-1", ()))), "revision 'ner-1' .* 2 times"),
        (RouteTable(_route().services * 2), "service 'ner' is in the route table 2 times"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused_by_name(table: RouteTable, said: str) -> None:
    with pytest.raises(InvalidSpec, match=said):
        render(table)


def test_thirds_are_rounded_to_the_whole() -> None:
    backends = tuple(Backend(f"ner-{n}", ()) for n in range(3))
    thirds = tuple(Weight(f"ner-{n}", 33.33) for n in range(3))
    shares = [share for _, share in weighted(ServiceRoute("ner", thirds, backends, "ner-0"))]
    assert shares == [3334, 3333, 3333]


@given(st.integers(0, 10_000))
def test_two_decimals_of_a_percent_are_exact(number: int) -> None:
    assert hundredths(number / 100) == number


@given(st.floats(0.000001, 100_000.0))
def test_seconds_are_written_as_envoy_reads_them(value: float) -> None:
    text = seconds(value)
    assert re.fullmatch(r"\d+(\.\d{1,9})?s", text)
    assert math.isclose(float(text[:-1]), value, abs_tol=1e-9)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"resources": 1}'])
def test_what_is_no_discovery_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Discovery.parse(text)


def test_a_host_name_is_refused_where_an_address_is_needed(front_door: Door) -> None:
    for host in ("localhost", "", "1.2.3"):
        with pytest.raises(InvalidInput, match="host must be an IP address"):
            bootstrap(Door(host, 1, *(front_door.admin_socket, front_door.tables, "/a", "/e")))


def test_envoy_accepts_the_longest_names(envoy_accepts: Callable[[RouteTable], None]) -> None:
    name = "a" * 48
    backends = tuple(
        Backend(f"{name}-{number:05d}", (Endpoint("127.0.0.1", 9000 + number),)) for number in (1, 2)
    )
    weights = (Weight(backends[0].revision, 90.0), Weight(backends[1].revision, 10.0, "candidate"))
    route = ServiceRoute(name, weights, backends, backends[0].revision, Mirror(backends[1].revision, 20.0))
    envoy_accepts(RouteTable((route,), Endpoint("127.0.0.1", 9100)))
