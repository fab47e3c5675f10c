mock_provider "aws" {
  source = "../../mocks"
}

variables {
  bucket = "acme-modelserve-state"
}

run "defaults" {
  command = plan

  assert {
    condition     = aws_s3_bucket_versioning.state.versioning_configuration[0].status == "Enabled"
    error_message = "A state that is overwritten must be there still."
  }

  assert {
    condition     = aws_kms_key.state.enable_key_rotation && aws_dynamodb_table.lock.point_in_time_recovery[0].enabled
    error_message = "The key rotates, and the lock table can be restored."
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.state.restrict_public_buckets
    error_message = "The state is not public."
  }
}

run "a_bucket_with_dots_is_refused" {
  command = plan

  variables {
    bucket = "acme.state"
  }

  expect_failures = [var.bucket]
}

run "a_name_in_capitals_is_refused" {
  command = plan

  variables {
    name = "ModelServe"
  }

  expect_failures = [var.name]
}
