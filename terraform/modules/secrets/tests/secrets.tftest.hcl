mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name            = "modelserve-test"
  secrets_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  logs_key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "defaults" {
  command = plan

  assert {
    condition     = alltrue([for rotation in aws_secretsmanager_secret_rotation.this : rotation.rotation_rules[0].automatically_after_days == 30 && rotation.rotate_immediately])
    error_message = "All change within a month, and first at once."
  }

  assert {
    condition     = toset(keys(aws_secretsmanager_secret.this)) == toset(["front-door-signing", "control-api"])
    error_message = "Two secrets."
  }

  assert {
    condition     = aws_lambda_function.rotate.source_code_hash == filebase64sha256("rotation/rotate.zip")
    error_message = "What rotates is what lies here."
  }

  assert {
    condition = aws_lambda_function.rotate.tracing_config[0].mode == "Active" && anytrue([
      for statement in data.aws_iam_policy_document.rotate.statement : toset(statement.actions) == toset(["xray:PutTelemetryRecords", "xray:PutTraceSegments"])
    ])
    error_message = "What is traced may write its traces."
  }

  assert {
    condition     = aws_lambda_function.rotate.reserved_concurrent_executions == -1
    error_message = "A new account has no concurrency to give away."
  }
}

run "a_share_of_its_own" {
  command = plan

  variables {
    reserved_concurrency = 2
  }

  assert {
    condition     = aws_lambda_function.rotate.reserved_concurrent_executions == 2
    error_message = "As told."
  }
}

run "a_share_of_nothing_is_refused" {
  command = plan

  variables {
    reserved_concurrency = 0
  }

  expect_failures = [var.reserved_concurrency]
}

run "a_rotation_every_two_years_is_refused" {
  command = plan

  variables {
    rotation_days = 730
  }

  expect_failures = [var.rotation_days]
}

run "a_recovery_of_three_days_is_refused" {
  command = plan

  variables {
    recovery_days = 3
  }

  expect_failures = [var.recovery_days]
}
