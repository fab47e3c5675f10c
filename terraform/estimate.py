"""What an environment costs a month, from its plan and the small table in prices.json. An estimate.

    terraform plan -out=made.plan && terraform show -json made.plan | python terraform/estimate.py
    ... | python terraform/estimate.py --json

Counts what runs all the time at its usual size: machines, disks, databases, NAT, load balancer, keys. It does
not count what depends on use: traffic, requests, stored objects and logs. A node group counts at its desired
size and with the dearest of its instance types.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

PRICES: Mapping[str, Any] = json.loads((Path(__file__).parent / "prices.json").read_text())
HOURS: float = PRICES["hours"]
ASLEEP = ("machines", "database")
"""What stands still at night, where an environment sleeps."""

Values = Mapping[str, Any]


def _resources(module: Mapping[str, Any]) -> Iterator[tuple[str, Values]]:
    for each in module.get("resources", ()):
        if each["mode"] == "managed":
            yield each["type"], each.get("values", {})
    for child in module.get("child_modules", ()):
        yield from _resources(child)


def _machine(values: Values) -> float:
    price = max(PRICES["instances"][kind] for kind in values["instance_types"])
    return float(price * (PRICES["spot_share"] if values["capacity_type"] == "SPOT" else 1.0))


def _desired(values: Values) -> int:
    return int(values["scaling_config"][0]["desired_size"])


def _nodes(values: Values) -> dict[str, float]:
    return {"machines": HOURS * _desired(values) * _machine(values)}


def _hourly(name: str, group: str) -> Callable[[Values], dict[str, float]]:
    return lambda _: {group: HOURS * PRICES["per_hour"][name]}


def _monthly(name: str, group: str) -> Callable[[Values], dict[str, float]]:
    return lambda _: {group: float(PRICES["per_month"][name])}


def _database(values: Values) -> dict[str, float]:
    copies = 2 if values["multi_az"] else 1
    return {
        "database": HOURS * copies * PRICES["databases"][values["instance_class"]],
        "database storage": copies
        * values["allocated_storage"]
        * PRICES["per_gib_month"]["database_storage"],
    }


def _cache(values: Values) -> dict[str, float]:
    return {"cache": HOURS * values["num_cache_clusters"] * PRICES["caches"][values["node_type"]]}


def _firewall(values: Values) -> dict[str, float]:
    rule = PRICES["per_month"]["web_acl_rule"]
    return {"edge": PRICES["per_month"]["web_acl"] + rule * len(values["rule"])}


def _endpoint(values: Values) -> dict[str, float]:
    if values["vpc_endpoint_type"] != "Interface":
        return {}
    return {"endpoints": HOURS * 3 * PRICES["per_hour"]["endpoint"]}


COSTS: Mapping[str, Callable[[Values], dict[str, float]]] = {
    "aws_eks_cluster": _hourly("cluster", "control plane"),
    "aws_eks_node_group": _nodes,
    "aws_nat_gateway": _hourly("nat", "NAT"),
    "aws_eip": _hourly("public_address", "NAT"),
    "aws_lb": _hourly("load_balancer", "edge"),
    "aws_wafv2_web_acl": _firewall,
    "aws_vpc_endpoint": _endpoint,
    "aws_ec2_client_vpn_network_association": _hourly("vpn_association", "VPN"),
    "aws_db_instance": _database,
    "aws_elasticache_replication_group": _cache,
    "aws_kms_key": _monthly("key", "keys and secrets"),
    "aws_secretsmanager_secret": _monthly("secret", "keys and secrets"),
    "aws_cloudwatch_metric_alarm": _monthly("alarm", "audit"),
    "aws_config_config_rule": _monthly("config_rule", "audit"),
}


def estimate(plan: Mapping[str, Any]) -> dict[str, float]:
    """USD a month by group, from the JSON of a plan, and what savings are worth (negative)."""
    found = list(_resources(plan["planned_values"]["root_module"]))
    groups: dict[str, float] = {}
    for kind, values in found:
        for group, usd in COSTS.get(kind, lambda _: {})(values).items():
            groups[group] = groups.get(group, 0.0) + usd
    groups["disks of nodes"] = _disks(found)
    if any(kind == "aws_scheduler_schedule" for kind, _ in found):
        asleep = 1 - PRICES["awake_share"]
        groups["asleep at night"] = -asleep * sum(groups.get(group, 0.0) for group in ASLEEP)
    return groups


def _disks(found: list[tuple[str, Values]]) -> float:
    sizes = {
        values["name"].removeprefix(prefix): values["block_device_mappings"][0]["ebs"][0]["volume_size"]
        for prefix in _prefixes(found)
        for kind, values in found
        if kind == "aws_launch_template"
    }
    nodes = [values for kind, values in found if kind == "aws_eks_node_group"]
    gib = sum(_desired(values) * sizes[values["node_group_name"]] for values in nodes)
    return float(gib * PRICES["per_gib_month"]["disk"])


def _prefixes(found: list[tuple[str, Values]]) -> list[str]:
    return [f"{values['name']}-" for kind, values in found if kind == "aws_eks_cluster"]


def savings(plan: Mapping[str, Any]) -> dict[str, float]:
    """USD a month that each saving is worth, whether or not the environment has it."""
    found = list(_resources(plan["planned_values"]["root_module"]))
    spot = [v for kind, v in found if kind == "aws_eks_node_group" and v["capacity_type"] == "SPOT"]
    nat = HOURS * (PRICES["per_hour"]["nat"] + PRICES["per_hour"]["public_address"])
    groups = estimate(plan)
    return {
        "spot": sum(HOURS * _desired(v) * _machine(v) * (1 / PRICES["spot_share"] - 1) for v in spot),
        "one NAT gateway": 2 * nat,
        "asleep at night": (1 - PRICES["awake_share"]) * sum(groups.get(group, 0.0) for group in ASLEEP),
    }


def main() -> int:
    plan = json.load(sys.stdin)
    groups, saved = estimate(plan), savings(plan)
    if "--json" in sys.argv:
        print(json.dumps({"date": PRICES["date"], "usd_a_month": groups, "savings": saved}, indent=2))
        return 0
    for group, usd in sorted(groups.items(), key=lambda item: -item[1]):
        print(f"{group:20} {usd:10,.0f}")
    print(
        f"{'in all':20} {sum(groups.values()):10,.0f}  USD a month, prices of {PRICES['date']}, an estimate"
    )
    for name, usd in saved.items():
        print(f"  worth of: {name:16} {usd:8,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
