# Nobody works with dev at night: node groups go to zero and the database stops, until the morning.
# EventBridge Scheduler calls AWS's own APIs; there is no code that could fail unseen.

locals {
  sleepers = try(var.nights.node_groups, {})

  # Name of a schedule => when, which API, and what it is told.
  schedules = var.nights == null ? {} : merge(
    { for group, size in local.sleepers : "sleep-${group}" => {
      when  = var.nights.sleep
      calls = "eks:updateNodegroupConfig"
      input = jsonencode({ ClusterName = var.nights.cluster, NodegroupName = group, ScalingConfig = { MinSize = 0, DesiredSize = 0 } })
    } },
    { for group, size in local.sleepers : "wake-${group}" => {
      when  = var.nights.wake
      calls = "eks:updateNodegroupConfig"
      input = jsonencode({ ClusterName = var.nights.cluster, NodegroupName = group, ScalingConfig = { MinSize = size.min, DesiredSize = size.desired } })
    } },
    {
      sleep-database = { when = var.nights.sleep, calls = "rds:stopDBInstance", input = jsonencode({ DbInstanceIdentifier = var.nights.database }) }
      wake-database  = { when = var.nights.wake, calls = "rds:startDBInstance", input = jsonencode({ DbInstanceIdentifier = var.nights.database }) }
    },
  )
}

data "aws_iam_policy_document" "nights_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

data "aws_iam_policy_document" "nights" {
  count = var.nights == null ? 0 : 1

  statement {
    sid       = "ResizeNodes"
    actions   = ["eks:UpdateNodegroupConfig"]
    resources = [for group in keys(local.sleepers) : "arn:${data.aws_partition.current.partition}:eks:*:${data.aws_caller_identity.current.account_id}:nodegroup/${var.nights.cluster}/${group}/*"]
  }

  statement {
    sid       = "StopTheDatabase"
    actions   = ["rds:StartDBInstance", "rds:StopDBInstance"]
    resources = ["arn:${data.aws_partition.current.partition}:rds:*:${data.aws_caller_identity.current.account_id}:db:${var.nights.database}"]
  }

  statement {
    sid       = "ReadWhatASchedulePassesOn"
    actions   = ["kms:Decrypt"]
    resources = [var.artifacts_key_arn]
  }
}

resource "aws_iam_role" "nights" {
  count = var.nights == null ? 0 : 1

  name               = "${var.name}-nights"
  assume_role_policy = data.aws_iam_policy_document.nights_trust.json
}

resource "aws_iam_role_policy" "nights" {
  count = var.nights == null ? 0 : 1

  name   = "allowed"
  role   = aws_iam_role.nights[0].id
  policy = data.aws_iam_policy_document.nights[0].json
}

resource "aws_scheduler_schedule_group" "nights" {
  count = var.nights == null ? 0 : 1

  name = "${var.name}-nights"
}

resource "aws_scheduler_schedule" "nights" {
  for_each = local.schedules

  name                         = "${var.name}-${each.key}"
  group_name                   = aws_scheduler_schedule_group.nights[0].name
  schedule_expression          = each.value.when
  schedule_expression_timezone = var.nights.timezone
  kms_key_arn                  = var.artifacts_key_arn

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = "arn:${data.aws_partition.current.partition}:scheduler:::aws-sdk:${each.value.calls}"
    role_arn = aws_iam_role.nights[0].arn
    input    = each.value.input

    retry_policy {
      maximum_retry_attempts = 3
    }
  }
}
