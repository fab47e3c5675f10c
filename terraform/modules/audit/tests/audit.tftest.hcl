mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name                = "modelserve-test"
  watched_bucket_arns = ["arn:aws:s3:::models"]
  access_logs_bucket  = "logs"
  logs_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "defaults" {
  command = plan

  assert {
    condition     = aws_cloudtrail.this.is_multi_region_trail && aws_cloudtrail.this.enable_log_file_validation && aws_cloudtrail.this.kms_key_id != ""
    error_message = "A trail of all regions that shows if it was tampered with."
  }

  assert {
    condition     = aws_guardduty_detector.this[0].enable && length(aws_config_config_rule.this) == 10
    error_message = "GuardDuty and ten rules of Config."
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.watched) == 6 && aws_cloudwatch_metric_alarm.watched["root-used"].threshold == 1
    error_message = "What people should not do unnoticed is noticed."
  }

  assert {
    condition     = aws_cloudtrail.this.sns_topic_name == null
    error_message = "Nobody hears of every file of the trail."
  }

  assert {
    condition     = [for statement in data.aws_iam_policy_document.alarms.statement : length(statement.condition) if contains(one(statement.principals).identifiers, "events.amazonaws.com")] == [0]
    error_message = "EventBridge publishes without a condition, which it could not meet."
  }

  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.alarms.statement : length(statement.condition) == 1 if statement.sid == "ServicesTell"])
    error_message = "Others publish for this account alone."
  }
}

run "without_config_and_with_an_alarm" {
  command = plan

  variables {
    config_rules = {}
    alarm_emails = ["oncall@example.com"]
    alarms       = { storage = { description = "Full", namespace = "AWS/RDS", metric = "FreeStorageSpace", dimensions = { DBInstanceIdentifier = "x" }, below = true, threshold = 1 } }
  }

  assert {
    condition     = length(aws_config_configuration_recorder.this) == 0 && aws_cloudwatch_metric_alarm.this["storage"].comparison_operator == "LessThanThreshold"
    error_message = "No recorder beside the account's own; alarms as told."
  }

  assert {
    condition     = aws_sns_topic_subscription.alarms["oncall@example.com"].protocol == "email"
    error_message = "Somebody hears."
  }
}

run "in_an_account_that_another_environment_owns" {
  command = plan

  variables {
    owns_account = false
  }

  assert {
    condition     = length(aws_guardduty_detector.this) + length(aws_cloudwatch_event_rule.findings) + length(aws_cloudwatch_event_target.findings) == 0
    error_message = "An account has one GuardDuty in each region."
  }
}

run "a_trail_for_a_month_is_refused" {
  command = plan

  variables {
    trail_days = 30
  }

  expect_failures = [var.trail_days]
}

run "an_address_without_an_at_is_refused" {
  command = plan

  variables {
    alarm_emails = ["oncall"]
  }

  expect_failures = [var.alarm_emails]
}
