mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name                      = "modelserve-test"
  vpc_id                    = "vpc-1"
  subnet_ids                = ["subnet-1", "subnet-2"]
  client_security_group_ids = { nodes = "sg-1" }
  database_key_arn          = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  secrets_key_arn           = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  logs_key_arn              = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

override_data {
  target = data.aws_secretsmanager_random_password.token
  values = { random_password = "0123456789012345678901234567890123456789" }
}

run "defaults" {
  command = plan

  assert {
    condition     = aws_elasticache_replication_group.this.transit_encryption_enabled && aws_elasticache_replication_group.this.at_rest_encryption_enabled == "true"
    error_message = "TLS on the way, encrypted where it lies."
  }

  assert {
    condition     = aws_elasticache_replication_group.this.automatic_failover_enabled && aws_elasticache_replication_group.this.num_cache_clusters == 2
    error_message = "A replica takes over."
  }

  assert {
    condition     = nonsensitive(aws_elasticache_replication_group.this.auth_token) == "0123456789012345678901234567890123456789"
    error_message = "A token is asked for, the one in Secrets Manager."
  }

  assert {
    condition     = output.nodes == ["modelserve-test-001", "modelserve-test-002"]
    error_message = "Each node is known by the name that ElastiCache gives it."
  }
}

run "alone" {
  command = plan

  variables {
    replicas = 0
  }

  assert {
    condition     = !aws_elasticache_replication_group.this.automatic_failover_enabled && aws_elasticache_replication_group.this.num_cache_clusters == 1
    error_message = "One node can't fail over."
  }

  assert {
    condition     = output.nodes == ["modelserve-test-001"]
    error_message = "One node."
  }
}

run "too_many_replicas_are_refused" {
  command = plan

  variables {
    replicas = 6
  }

  expect_failures = [var.replicas]
}

run "a_machine_that_is_no_cache_is_refused" {
  command = plan

  variables {
    node_type = "m6g.large"
  }

  expect_failures = [var.node_type]
}
