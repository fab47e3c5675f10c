mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name = "modelserve-test"
}

run "one_for_each_class" {
  command = plan

  assert {
    condition     = alltrue([for key in aws_kms_key.this : key.enable_key_rotation])
    error_message = "Every key rotates."
  }

  assert {
    condition     = toset(keys(aws_kms_key.this)) == toset(["artifacts", "cluster", "database", "disks", "logs", "secrets"])
    error_message = "Six classes of data."
  }

  assert {
    condition     = length([for statement in data.aws_iam_policy_document.key["logs"].statement : statement if statement.sid == "ServicesEncrypt"]) == 1
    error_message = "Logging services may use the key for logs."
  }

  assert {
    condition = alltrue([for service in ["budgets", "cloudwatch", "events"] : anytrue([
      for statement in data.aws_iam_policy_document.key["logs"].statement : statement.sid == "ServicesEncrypt" && contains(one(statement.principals).identifiers, "${service}.amazonaws.com")
    ])])
    error_message = "Whoever tells the topic of alarms may encrypt what it tells."
  }

  assert {
    condition     = length([for statement in data.aws_iam_policy_document.key["database"].statement : statement if statement.sid == "ServicesEncrypt"]) == 0
    error_message = "Logging services may use no other key."
  }
}

run "disks_of_nodes" {
  command = plan

  variables {
    autoscaling_role_arn = "arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
  }

  assert {
    condition     = contains([for statement in data.aws_iam_policy_document.key["disks"].statement : statement.sid], "AutoScalingStartsNodes")
    error_message = "Auto Scaling may use the disks' key."
  }
}

run "a_window_of_a_day_is_refused" {
  command = plan

  variables {
    deletion_window_days = 1
  }

  expect_failures = [var.deletion_window_days]
}

run "no_class_is_refused" {
  command = plan

  variables {
    classes = {}
  }

  expect_failures = [var.classes]
}
