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
    condition     = toset(keys(aws_ecr_repository.this)) == toset(["controller", "model-server"])
    error_message = "One repository for each image."
  }

  assert {
    condition     = alltrue([for each in aws_ecr_repository.this : each.image_tag_mutability == "IMMUTABLE" && each.image_scanning_configuration[0].scan_on_push])
    error_message = "Tags never move; every push is scanned."
  }

  assert {
    condition     = jsondecode(aws_ecr_lifecycle_policy.this["controller"].policy).rules[1].selection.countNumber == 50
    error_message = "Fifty images stay."
  }
}

run "too_few_images_are_refused" {
  command = plan

  variables {
    kept_images = 1
  }

  expect_failures = [var.kept_images]
}

run "a_repository_in_capitals_is_refused" {
  command = plan

  variables {
    repositories = ["Controller"]
  }

  expect_failures = [var.repositories]
}
