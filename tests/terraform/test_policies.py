"""What holds for everything that Terraform makes, by the state of ``dev`` and the plans of all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.terraform.conftest import Applied
from tests.terraform.tools import ENVIRONMENTS, resources

NO_RESOURCE = {
    "autoscaling:Describe",
    "ec2:Describe",
    "ec2:GetInstanceTypesFromInstanceRequirements",
    "ecr:GetAuthorizationToken",
    "elasticloadbalancing:Describe",
    "secretsmanager:GetRandomPassword",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
"""Calls that AWS lets nobody bound to a resource (Service Authorization Reference); they look, or trace."""


def statements(document: str) -> Iterator[dict[str, Any]]:
    found = json.loads(document)["Statement"]
    yield from [found] if isinstance(found, dict) else found


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def policies(applied: Applied) -> Iterator[tuple[str, dict[str, Any]]]:
    """(address, statement) of every policy that a role carries."""
    for each in applied.resources:
        if each["type"] in ("aws_iam_role_policy", "aws_iam_policy"):
            for statement in statements(each["values"]["policy"]):
                yield each["address"], statement


def test_no_role_may_do_anything_with_everything(applied: Applied) -> None:
    found = 0
    for address, statement in policies(applied):
        found += 1
        assert statement["Effect"] == "Allow"
        actions = as_list(statement["Action"])
        assert not [action for action in actions if action == "*" or action.endswith(":*")], address
        if "*" in as_list(statement["Resource"]):
            bounded = [a for a in actions if not any(a.startswith(prefix) for prefix in NO_RESOURCE)]
            assert bounded == [], f"{address}: these can be bounded to a resource"
    assert found > 30


def test_no_trust_is_for_everybody(applied: Applied) -> None:
    for role in applied.of("aws_iam_role"):
        for statement in statements(role["assume_role_policy"]):
            assert statement["Principal"] not in ("*", {"AWS": "*"}), role["name"]
            if "Federated" in statement["Principal"]:
                keys = [key for each in statement["Condition"].values() for key in each]
                assert any(key.endswith(":sub") for key in keys), (
                    f"{role['name']}: any identity of the provider"
                )


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_only_the_load_balancer_is_open_to_the_internet(
    planned: Callable[[str], dict[str, Any]], environment: str
) -> None:
    root = planned(environment)["planned_values"]["root_module"]
    rules = [each for each in resources(root) if each["type"] == "aws_vpc_security_group_ingress_rule"]
    open_ones = {each["address"] for each in rules if each["values"].get("cidr_ipv4") == "0.0.0.0/0"}
    edge = "module.platform.module.edge.aws_vpc_security_group_ingress_rule.this"
    assert open_ones == {f'{edge}["http"]', f'{edge}["https"]'}
    groups = [each for each in resources(root) if each["type"] == "aws_security_group"]
    assert not any(each["values"].get("ingress") for each in groups), "rules are resources of their own"


@pytest.mark.parametrize(
    "once",
    [
        "audit.aws_config_configuration_recorder.this",
        "audit.aws_guardduty_detector.this",
        "identity.aws_iam_openid_connect_provider.github",
    ],
)
def test_of_the_environments_in_an_account_one_makes_what_it_has_once(
    planned: Callable[[str], dict[str, Any]], once: str
) -> None:
    made = [
        (environment, each["address"])
        for environment in ENVIRONMENTS
        for each in resources(planned(environment)["planned_values"]["root_module"])
        if once in each["address"]
    ]
    assert made == [("prod", f"module.platform.module.{once}[0]")]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_administrators_and_ci_reach_kubernetes(
    planned: Callable[[str], dict[str, Any]], environment: str
) -> None:
    may = {}
    for each in resources(planned(environment)["planned_values"]["root_module"]):
        if each["type"] == "aws_eks_access_policy_association":
            (scope,) = each["values"]["access_scope"]
            may[each["index"]] = (each["values"]["policy_arn"].rpartition("/")[2], scope["namespaces"])
    assert may == {
        "administrators": ("AmazonEKSClusterAdminPolicy", None),
        "ci": ("AmazonEKSEditPolicy", ["modelserve"]),
    }


@pytest.mark.parametrize(("environment", "nodes"), [("dev", 1), ("staging", 2), ("prod", 3)])
def test_an_alarm_watches_the_memory_of_every_node_of_redis(
    planned: Callable[[str], dict[str, Any]], environment: str, nodes: int
) -> None:
    """ElastiCache has the metric for nodes, and for no group of them."""
    watched = [
        each["values"]["dimensions"]
        for each in resources(planned(environment)["planned_values"]["root_module"])
        if each["values"].get("metric_name") == "DatabaseMemoryUsagePercentage"
    ]
    names = [f"modelserve-{environment}-{node:03}" for node in range(1, nodes + 1)]
    assert watched == [{"CacheClusterId": name} for name in names]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_log_ends_and_is_encrypted(planned: Callable[[str], dict[str, Any]], environment: str) -> None:
    plan = planned(environment)
    logs = [
        each
        for each in resources(plan["planned_values"]["root_module"])
        if each["type"] == "aws_cloudwatch_log_group"
    ]
    assert len(logs) >= 7
    assert all(each["values"]["retention_in_days"] > 0 for each in logs)
    changes = {each["address"]: each["change"] for each in plan["resource_changes"]}
    for each in logs:
        known, later = changes[each["address"]]["after"], changes[each["address"]]["after_unknown"]
        assert known.get("kms_key_id") or later.get("kms_key_id"), each["address"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_everything_that_takes_tags_has_those_of_cost_allocation(
    planned: Callable[[str], dict[str, Any]], environment: str
) -> None:
    root = planned(environment)["planned_values"]["root_module"]
    tagged = [each for each in resources(root) if "tags_all" in each["values"]]
    assert len(tagged) > 50
    for each in tagged:
        tags = each["values"]["tags_all"]
        assert tags["Environment"] == environment, each["address"]
        assert {"Project", "Owner", "CostCenter", "ManagedBy"} <= tags.keys(), each["address"]


ENCRYPTED = {
    "aws_db_instance": "storage_encrypted",
    "aws_elasticache_replication_group": "at_rest_encryption_enabled",
}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_holds_data_is_encrypted(planned: Callable[[str], dict[str, Any]], environment: str) -> None:
    root = planned(environment)["planned_values"]["root_module"]
    found = [each for each in resources(root) if each["type"] in ENCRYPTED]
    assert len(found) == 2
    assert all(str(each["values"][ENCRYPTED[each["type"]]]).lower() == "true" for each in found)


def test_only_prod_refuses_to_be_deleted(planned: Callable[[str], dict[str, Any]]) -> None:
    protected = {}
    for environment in ENVIRONMENTS:
        root = planned(environment)["planned_values"]["root_module"]
        (database,) = [each for each in resources(root) if each["type"] == "aws_db_instance"]
        protected[environment] = (database["values"]["deletion_protection"], database["values"]["multi_az"])
    assert protected == {"dev": (False, False), "staging": (False, True), "prod": (True, True)}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environment_has_the_add_ons_and_endpoints_of_the_modules(
    planned: Callable[[str], dict[str, Any]], environment: str
) -> None:
    plan = planned(environment)
    root = plan["planned_values"]["root_module"]
    addons = [each for each in resources(root) if each["type"] == "aws_eks_addon"]
    assert len(addons) == 5
    assert len([each for each in resources(root) if each["type"] == "aws_vpc_endpoint"]) == 6
    changes = {each["address"]: each["change"] for each in plan["resource_changes"]}
    (disks,) = [each["address"] for each in addons if "ebs-csi" in each["address"]]
    assert changes[disks]["after_unknown"]["service_account_role_arn"], "a role of its own"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_budget_counts_what_has_the_environments_tag(
    planned: Callable[[str], dict[str, Any]], environment: str
) -> None:
    root = planned(environment)["planned_values"]["root_module"]
    (budget,) = [each for each in resources(root) if each["type"] == "aws_budgets_budget"]
    (counted,) = budget["values"]["cost_filter"]
    assert counted == {"name": "TagKeyValue", "values": [f"user:Environment${environment}"]}
