mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name              = "modelserve-test"
  artifacts_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "defaults" {
  command = plan

  assert {
    condition     = toset(keys(aws_s3_bucket.this)) == toset(["models", "traffic", "backups"]) && aws_s3_bucket.this["models"].bucket == "modelserve-test-123456789012-models"
    error_message = "Three buckets, whose names have the account's number in them."
  }

  assert {
    condition     = alltrue([for block in aws_s3_bucket_public_access_block.this : block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets])
    error_message = "None is public."
  }

  assert {
    condition     = alltrue([for versioning in aws_s3_bucket_versioning.this : versioning.versioning_configuration[0].status == "Enabled"])
    error_message = "All keep old versions."
  }

  assert {
    condition     = alltrue([for each in aws_s3_bucket_server_side_encryption_configuration.this : one(each.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms"])
    error_message = "All are encrypted by our key."
  }

  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.this["models"].rule[0].expiration) == 0 && aws_s3_bucket_lifecycle_configuration.this["traffic"].rule[0].expiration[0].days == 60
    error_message = "Models stay; captured traffic goes."
  }

  assert {
    condition     = contains([for statement in data.aws_iam_policy_document.this["models"].statement : statement.sid], "OnlyOverTls")
    error_message = "TLS alone."
  }

  assert {
    condition     = alltrue([for bucket in aws_s3_bucket.this : !bucket.force_destroy])
    error_message = "What has something in it is not destroyed."
  }
}

run "unprotected" {
  command = plan

  variables {
    protected = false
  }

  assert {
    condition     = alltrue([for bucket in aws_s3_bucket.this : bucket.force_destroy])
    error_message = "dev is destroyed with all that is in it."
  }
}

run "traffic_for_a_week_is_refused" {
  command = plan

  variables {
    traffic_days = 7
  }

  expect_failures = [var.traffic_days]
}

run "short_backups_are_refused" {
  command = plan

  variables {
    backup_days = 90
  }

  expect_failures = [var.backup_days]
}
