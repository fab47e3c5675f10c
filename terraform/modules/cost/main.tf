# Money: a budget that warns, nights without machines, and backups that end.

data "aws_partition" "current" {}
data "aws_caller_identity" "current" {}

resource "aws_budgets_budget" "this" {
  count = var.budget == null ? 0 : 1

  name         = var.name
  budget_type  = "COST"
  limit_amount = tostring(var.budget.monthly_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:Environment$%s", var.environment)] # "$${" would be an escape
  }

  dynamic "notification" {
    for_each = {
      half     = { type = "ACTUAL", percent = 50 }
      most     = { type = "ACTUAL", percent = 80 }
      all      = { type = "ACTUAL", percent = 100 }
      expected = { type = "FORECASTED", percent = 100 }
    }

    content {
      notification_type          = notification.value.type
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value.percent
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = var.budget.emails
      subscriber_sns_topic_arns  = [var.alarms_topic_arn]
    }
  }
}

resource "aws_backup_vault" "this" {
  name          = var.name
  kms_key_arn   = var.artifacts_key_arn
  force_destroy = !var.protected
}

resource "aws_backup_plan" "this" {
  name = var.name

  rule {
    rule_name         = "nightly"
    target_vault_name = aws_backup_vault.this.name
    schedule          = "cron(0 3 * * ? *)"
    start_window      = 60
    completion_window = 300

    lifecycle {
      delete_after = var.snapshot_days
    }
  }
}

data "aws_iam_policy_document" "backup_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["backup.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "backup" {
  name               = "${var.name}-snapshots"
  assume_role_policy = data.aws_iam_policy_document.backup_trust.json
}

resource "aws_iam_role_policy_attachment" "backup" {
  role       = aws_iam_role.backup.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup"
}

# Disks of the cluster that ask for it; the database keeps backups of its own.
resource "aws_backup_selection" "this" {
  name         = "tagged"
  plan_id      = aws_backup_plan.this.id
  iam_role_arn = aws_iam_role.backup.arn

  selection_tag {
    type  = "STRINGEQUALS"
    key   = "Backup"
    value = "nightly"
  }
}
