mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name         = "modelserve-test"
  zones        = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  logs_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "defaults" {
  command = plan

  assert {
    condition     = length(aws_subnet.private) == 3 && length(aws_subnet.public) == 3 && length(aws_subnet.database) == 3
    error_message = "Three kinds of subnet in each of three zones."
  }

  assert {
    condition = length(distinct(concat(
      [for subnet in aws_subnet.private : subnet.cidr_block],
      [for subnet in aws_subnet.public : subnet.cidr_block],
      [for subnet in aws_subnet.database : subnet.cidr_block],
    ))) == 9
    error_message = "No range is given twice."
  }

  assert {
    condition     = aws_subnet.public["eu-central-1a"].cidr_block == "10.0.48.0/24" && aws_subnet.private["eu-central-1c"].cidr_block == "10.0.32.0/20"
    error_message = "Ranges are where the first lines of main.tf say."
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3 && alltrue([for subnet in aws_subnet.public : !subnet.map_public_ip_on_launch])
    error_message = "A NAT gateway for each zone; no machine gets a public address by being started."
  }

  assert {
    condition     = length(aws_route.nat) == 3
    error_message = "Every private subnet has a way out."
  }

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_cloudwatch_log_group.flow.retention_in_days == 90
    error_message = "Flow logs of everything, for 90 days."
  }

  assert {
    condition     = toset(keys(aws_vpc_endpoint.interface)) == toset(["ecr.api", "ecr.dkr", "logs", "secretsmanager", "sts"])
    error_message = "The services that nodes need all the time have endpoints."
  }
}

run "one_nat_gateway_for_all" {
  command = plan

  variables {
    nat = "one"
  }

  assert {
    condition     = keys(aws_nat_gateway.this) == ["eu-central-1a"] && length(aws_route.nat) == 3
    error_message = "One gateway, three ways to it."
  }
}

run "no_way_out" {
  command = plan

  variables {
    nat = "none"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_route.nat) == 0
    error_message = "No gateway and no route to one."
  }
}

run "only_the_vpc_reaches_databases" {
  command = plan

  assert {
    condition     = alltrue([for rule in aws_network_acl.this["database"].ingress : rule.cidr_block == "10.0.0.0/16" && contains([5432, 6379], rule.from_port)])
    error_message = "PostgreSQL and Redis, from the VPC."
  }
}

run "one_zone_is_refused" {
  command = plan

  variables {
    zones = ["eu-central-1a"]
  }

  expect_failures = [var.zones]
}

run "a_small_range_is_refused" {
  command = plan

  variables {
    cidr = "10.0.0.0/24"
  }

  expect_failures = [var.cidr]
}

run "a_misspelt_nat_is_refused" {
  command = plan

  variables {
    nat = "single"
  }

  expect_failures = [var.nat]
}
