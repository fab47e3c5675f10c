"""The environment ``dev``, applied to a local AWS, seen from outside by boto3 ..."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.terraform.conftest import DOMAIN, Applied

NAME = "modelserve-dev"


def test_has_three_kinds_of_subnet_in_each_of_three_zones(applied: Applied) -> None:
    ec2 = applied.client("ec2")
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [NAME]}])["Vpcs"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
    zones = Counter(subnet["AvailabilityZone"] for subnet in subnets)
    assert zones == {"eu-central-1a": 3, "eu-central-1b": 3, "eu-central-1c": 3}
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in subnets)


def test_has_one_nat_gateway_and_no_way_out_for_databases(applied: Applied) -> None:
    ec2 = applied.client("ec2")
    assert len(ec2.describe_nat_gateways()["NatGateways"]) == 1
    tables = ec2.describe_route_tables(Filters=[{"Name": "tag:Name", "Values": [f"{NAME}-database"]}])
    (table,) = tables["RouteTables"]
    assert [
        route["DestinationCidrBlock"] for route in table["Routes"] if "DestinationCidrBlock" in route
    ] == ["10.10.0.0/16"]
    assert len([each for each in table["Associations"] if each.get("SubnetId")]) == 3


def test_is_reached_from_the_internet_on_the_load_balancers_two_ports_alone(applied: Applied) -> None:
    groups = applied.client("ec2").describe_security_groups()["SecurityGroups"]
    ours = [group for group in groups if group["GroupName"].startswith(NAME)]
    assert len(ours) >= 4
    open_ports = {
        (group["GroupName"], rule["FromPort"], rule["ToPort"])
        for group in ours
        for rule in group["IpPermissions"]
        for source in rule["IpRanges"]
        if source["CidrIp"] == "0.0.0.0/0"
    }
    assert open_ports == {(f"{NAME}-edge", 80, 80), (f"{NAME}-edge", 443, 443)}


def test_lets_only_nodes_into_the_database(applied: Applied) -> None:
    groups = {g["GroupName"]: g for g in applied.client("ec2").describe_security_groups()["SecurityGroups"]}
    (rule,) = groups[f"{NAME}-database"]["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == (5432, 5432, [])
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [groups[f"{NAME}-nodes"]["GroupId"]]


def test_has_no_public_bucket_and_none_that_is_not_encrypted(applied: Applied) -> None:
    s3 = applied.client("s3")
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert len(names) == 5
    for name in names:
        block = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        assert all(block.values())
        assert len(block) == 4
        (rule,) = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
        algorithm = rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]
        assert algorithm == ("AES256" if name.endswith("access-logs") else "aws:kms")
        assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
        policy = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])
        denied = [each for each in policy["Statement"] if each["Effect"] == "Deny"]
        assert any(each["Condition"].get("Bool") == {"aws:SecureTransport": "false"} for each in denied)
        assert s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]


def test_keeps_models_and_lets_captured_traffic_go(applied: Applied) -> None:
    s3, buckets = applied.client("s3"), applied.outputs["platform"]["buckets"]
    (models,) = s3.get_bucket_lifecycle_configuration(Bucket=buckets["models"])["Rules"]
    (traffic,) = s3.get_bucket_lifecycle_configuration(Bucket=buckets["traffic"])["Rules"]
    assert "Expiration" not in models
    assert traffic["Expiration"]["Days"] == 60
    assert models["Transitions"][0]["StorageClass"] == "STANDARD_IA"


def test_rotates_every_key(applied: Applied) -> None:
    kms = applied.client("kms")
    aliases = [a for a in kms.list_aliases()["Aliases"] if a["AliasName"].startswith(f"alias/{NAME}")]
    assert len(aliases) == 6
    assert all(kms.get_key_rotation_status(KeyId=a["TargetKeyId"])["KeyRotationEnabled"] for a in aliases)


def test_has_node_groups_with_taints_and_spot(applied: Applied) -> None:
    eks = applied.client("eks")
    groups = {
        name: eks.describe_nodegroup(clusterName=NAME, nodegroupName=name)["nodegroup"]
        for name in eks.list_nodegroups(clusterName=NAME)["nodegroups"]
    }
    assert set(groups) == {"general", "batch", "gpu"}
    assert groups["gpu"]["taints"] == [{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}]
    assert groups["gpu"]["amiType"] == "AL2023_x86_64_NVIDIA"
    assert {group["capacityType"] for group in groups.values()} == {"SPOT"}
    assert all(len(group["instanceTypes"]) >= 3 for group in groups.values())


def test_lets_nobody_read_a_nodes_credentials_by_the_old_way(applied: Applied) -> None:
    ec2 = applied.client("ec2")
    templates = ec2.describe_launch_templates()["LaunchTemplates"]
    assert len(templates) == 3
    for template in templates:
        (version,) = ec2.describe_launch_template_versions(
            LaunchTemplateId=template["LaunchTemplateId"], Versions=["$Latest"]
        )["LaunchTemplateVersions"]
        data = version["LaunchTemplateData"]
        assert data["MetadataOptions"]["HttpTokens"] == "required"
        assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
        assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True


def test_encrypts_the_clusters_secrets_and_logs_who_did_what(applied: Applied) -> None:
    cluster = applied.client("eks").describe_cluster(name=NAME)["cluster"]
    assert cluster["encryptionConfig"][0]["resources"] == ["secrets"]
    (logging,) = [each for each in cluster["logging"]["clusterLogging"] if each["enabled"]]
    assert "audit" in logging["types"]
    assert cluster["resourcesVpcConfig"]["endpointPublicAccess"] is False


def test_has_a_database_that_is_encrypted_private_and_keeps_its_own_password(applied: Applied) -> None:
    rds = applied.client("rds")
    (database,) = rds.describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"]
    assert database["StorageEncrypted"]
    assert not database["PubliclyAccessible"]
    assert database["MasterUserSecret"]["SecretArn"]
    group = database["DBParameterGroups"][0]["DBParameterGroupName"]
    parameters = rds.describe_db_parameters(DBParameterGroupName=group)["Parameters"]
    assert ("rds.force_ssl", "1") in {(each["ParameterName"], each["ParameterValue"]) for each in parameters}


def test_has_a_firewall_before_the_load_balancer(applied: Applied) -> None:
    (balancer,) = applied.client("elbv2").describe_load_balancers()["LoadBalancers"]
    acl = applied.client("wafv2").get_web_acl_for_resource(ResourceArn=balancer["LoadBalancerArn"])["WebACL"]
    assert acl["Name"] == NAME
    rules = {rule["Name"]: rule for rule in acl["Rules"]}
    assert "RateBasedStatement" in rules["rate"]["Statement"]
    assert "AWSManagedRulesCommonRuleSet" in rules


def test_sends_http_on_to_https(applied: Applied) -> None:
    elb = applied.client("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    by_port = {each["Port"]: each for each in listeners}
    assert by_port[80]["DefaultActions"][0]["RedirectConfig"]["Protocol"] == "HTTPS"
    assert by_port[443]["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2")


def test_says_how_the_domain_is_proven_before_it_makes_anything_else(applied: Applied) -> None:
    assert applied.before
    assert [each["type"] for each in applied.before.resources] == ["aws_acm_certificate"]
    (proof,) = applied.before.outputs["certificate_proof"]
    assert proof["type"] == "CNAME"
    assert proof["name"].rstrip(".").endswith(DOMAIN)


def test_answers_with_a_certificate_that_is_proven(applied: Applied) -> None:
    (certificate,) = applied.client("acm").list_certificates(CertificateStatuses=["ISSUED"])[
        "CertificateSummaryList"
    ]
    assert certificate["DomainName"] == DOMAIN


def test_has_images_whose_tags_never_move(applied: Applied) -> None:
    repositories = applied.client("ecr").describe_repositories()["repositories"]
    assert {each["repositoryName"] for each in repositories} == {f"{NAME}/controller", f"{NAME}/model-server"}
    for each in repositories:
        assert each["imageTagMutability"] == "IMMUTABLE"
        assert each["imageScanningConfiguration"]["scanOnPush"] is True
        assert each["encryptionConfiguration"]["encryptionType"] == "KMS"


def test_keeps_a_trail_that_shows_if_it_was_tampered_with(applied: Applied) -> None:
    (trail,) = applied.client("cloudtrail").describe_trails()["trailList"]
    assert trail["IsMultiRegionTrail"]
    assert trail["LogFileValidationEnabled"]
    assert trail["KmsKeyId"]
    assert "SnsTopicARN" not in trail, "a mail for every file that is delivered"


def test_lets_those_tell_of_alarms_who_may_use_the_topics_key(applied: Applied) -> None:
    sns = applied.client("sns")
    (topic,) = [each["TopicArn"] for each in sns.list_topics()["Topics"]]
    told = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    tellers = {
        service: each.get("Condition")
        for each in json.loads(told["Policy"])["Statement"]
        for service in _list(each["Principal"]["Service"])
    }
    assert set(tellers) == {"budgets.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com"}
    assert tellers["events.amazonaws.com"] is None, "EventBridge does not say for which account it publishes"
    key = json.loads(
        applied.client("kms").get_key_policy(KeyId=told["KmsMasterKeyId"], PolicyName="default")["Policy"]
    )
    (users,) = [each for each in key["Statement"] if each["Sid"] == "ServicesEncrypt"]
    assert set(tellers) <= set(users["Principal"]["Service"])


def test_hears_of_what_guardduty_finds(applied: Applied) -> None:
    (topic,) = [each["TopicArn"] for each in applied.client("sns").list_topics()["Topics"]]
    assert len(applied.client("guardduty").list_detectors()["DetectorIds"]) == 1
    targets = applied.client("events").list_targets_by_rule(Rule=f"{NAME}-guardduty")["Targets"]
    assert [each["Arn"] for each in targets] == [topic]


def test_gives_a_role_to_one_service_account_alone(applied: Applied) -> None:
    iam = applied.client("iam")
    trust = iam.get_role(RoleName=f"{NAME}-model-server")["Role"]["AssumeRolePolicyDocument"]
    (statement,) = trust["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    (subject,) = [
        value for key, value in statement["Condition"]["StringEquals"].items() if key.endswith(":sub")
    ]
    assert subject == "system:serviceaccount:modelserve:model-server"
    policy = iam.get_role_policy(RoleName=f"{NAME}-model-server", PolicyName="allowed")["PolicyDocument"]
    allowed = {action for each in policy["Statement"] for action in _list(each["Action"])}
    assert allowed == {"kms:Decrypt", "s3:GetObject", "s3:ListBucket"}


def test_asks_administrators_for_a_second_factor(applied: Applied) -> None:
    role = applied.client("iam").get_role(RoleName=f"{NAME}-administrators")["Role"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"]["Bool"] == {"aws:MultiFactorAuthPresent": "true"}


def test_sleeps_at_night_and_wakes_as_it_was(applied: Applied) -> None:
    scheduler = applied.client("scheduler")
    schedules = {each["Name"]: each for each in scheduler.list_schedules()["Schedules"]}
    assert len(schedules) == 8
    wake = scheduler.get_schedule(Name=f"{NAME}-wake-general", GroupName=f"{NAME}-nights")
    assert json.loads(wake["Target"]["Input"])["ScalingConfig"] == {"MinSize": 1, "DesiredSize": 2}
    assert wake["ScheduleExpression"].startswith("cron(")


def test_may_read_its_schedules_of_the_night(applied: Applied) -> None:
    schedule = applied.client("scheduler").get_schedule(
        Name=f"{NAME}-sleep-database", GroupName=f"{NAME}-nights"
    )
    role = schedule["Target"]["RoleArn"].rpartition("/")[2]
    policy = applied.client("iam").get_role_policy(RoleName=role, PolicyName="allowed")["PolicyDocument"]
    (key,) = [each for each in policy["Statement"] if each["Action"] == "kms:Decrypt"]
    assert key["Resource"] == schedule["KmsKeyArn"]


@pytest.mark.parametrize("month", [1, 7])
def test_backs_the_database_up_while_it_is_awake(applied: Applied, month: int) -> None:
    scheduler = applied.client("scheduler")
    hours = []
    for name in ("wake", "sleep"):
        each = scheduler.get_schedule(Name=f"{NAME}-{name}-database", GroupName=f"{NAME}-nights")
        zone = ZoneInfo(each["ScheduleExpressionTimezone"])
        minute, hour, _, _, days, _ = each["ScheduleExpression"].removeprefix("cron(").rstrip(")").split()
        assert days == "MON-FRI"
        local = datetime(2026, month, 6, int(hour), int(minute), tzinfo=zone)
        hours.append(f"{local.astimezone(UTC):%H:%M}")
    awake, asleep = hours
    (database,) = applied.client("rds").describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"]
    begin, end = database["PreferredBackupWindow"].split("-")
    assert awake < begin < end < asleep
    first, last = (at.split(":", 1) for at in database["PreferredMaintenanceWindow"].split("-"))
    assert first[0] == last[0]
    assert first[0] in ("mon", "tue", "wed", "thu", "fri")
    assert awake < end <= first[1] < last[1] < asleep, "awake, and not while a backup is made"


@pytest.mark.parametrize("name", ["platform", "cluster"])
def test_tells_no_secret_in_its_outputs(applied: Applied, name: str) -> None:
    told = json.dumps(applied.outputs[name])
    assert "password" not in told
    assert "token" not in told


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
