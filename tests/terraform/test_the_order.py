"""What waits for what, by the configuration in a plan ..."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Planned = Callable[[str], dict[str, Any]]


def resource(planned: Planned, module: str, address: str) -> dict[str, Any]:
    """A resource of a module as it is written, before it has values."""
    platform = planned("prod")["configuration"]["root_module"]["module_calls"]["platform"]["module"]
    written = platform["module_calls"][module]["module"]["resources"]
    (found,) = [each for each in written if each["mode"] == "managed" and each["address"] == address]
    return dict(found)


def test_nodes_wait_for_their_network(planned: Planned) -> None:
    assert "aws_eks_addon.first" in resource(planned, "cluster", "aws_eks_node_group.this")["depends_on"]
    first = resource(planned, "cluster", "aws_eks_addon.first")
    assert "depends_on" not in first
    assert first["expressions"]["cluster_name"]["references"][0] == "aws_eks_cluster.this.name"


def test_other_add_ons_wait_for_nodes(planned: Planned) -> None:
    assert resource(planned, "cluster", "aws_eks_addon.this")["depends_on"] == ["aws_eks_node_group.this"]


def test_the_function_that_rotates_waits_for_its_rights(planned: Planned) -> None:
    """Lambda looks at once whether the role may write traces."""
    function = resource(planned, "secrets", "aws_lambda_function.rotate")
    assert "aws_iam_role_policy.rotate" in function["depends_on"]


def test_https_waits_until_the_domain_is_proven(planned: Planned) -> None:
    """A load balancer takes no certificate that is still to be proven."""
    certificate = resource(planned, "edge", "aws_lb_listener.https")["expressions"]["certificate_arn"]
    assert certificate["references"][0] == "aws_acm_certificate_validation.this.certificate_arn"
