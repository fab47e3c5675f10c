mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name              = "modelserve-test"
  environment       = "test"
  alarms_topic_arn  = "arn:aws:sns:eu-central-1:123456789012:alarms"
  artifacts_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "defaults" {
  command = plan

  assert {
    condition     = length(aws_budgets_budget.this) == 0 && length(aws_scheduler_schedule.nights) == 0
    error_message = "No budget and no nights unless asked for."
  }

  assert {
    condition     = one(aws_backup_plan.this.rule).lifecycle[0].delete_after == 14
    error_message = "Snapshots go after two weeks."
  }
}

run "a_budget" {
  command = plan

  variables {
    budget = { monthly_usd = 400, emails = ["team@example.com"] }
  }

  assert {
    condition     = aws_budgets_budget.this[0].limit_amount == "400" && length(aws_budgets_budget.this[0].notification) == 4
    error_message = "Warned at 50, 80 and 100 percent, and when it is foreseen."
  }

  assert {
    condition     = one(aws_budgets_budget.this[0].cost_filter).values == tolist([join("$", ["user:Environment", "test"])])
    error_message = "It counts what has the environment's tag, key and value with a dollar between."
  }
}

run "nights" {
  command = plan

  variables {
    nights = {
      cluster     = "modelserve-test"
      database    = "modelserve-test"
      node_groups = { general = { min = 1, desired = 2 } }
    }
  }

  assert {
    condition     = toset(keys(aws_scheduler_schedule.nights)) == toset(["sleep-general", "wake-general", "sleep-database", "wake-database"])
    error_message = "What sleeps wakes."
  }

  assert {
    condition     = jsondecode(aws_scheduler_schedule.nights["wake-general"].target[0].input).ScalingConfig == { MinSize = 1, DesiredSize = 2 }
    error_message = "It wakes as it was."
  }

  assert {
    condition = anytrue([for statement in data.aws_iam_policy_document.nights[0].statement :
      toset(statement.actions) == toset(["kms:Decrypt"]) && alltrue([for schedule in aws_scheduler_schedule.nights : toset(statement.resources) == toset([schedule.kms_key_arn])])
    ])
    error_message = "Whoever calls can read what the schedule says."
  }
}

run "a_budget_of_nothing_is_refused" {
  command = plan

  variables {
    budget = { monthly_usd = 0 }
  }

  expect_failures = [var.budget]
}

run "a_time_that_is_no_cron_is_refused" {
  command = plan

  variables {
    nights = { cluster = "x", database = "x", node_groups = {}, sleep = "20:00" }
  }

  expect_failures = [var.nights]
}
