# One key for each class of data, so that whoever may read one class can't read another.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"

  # AWS services that encrypt with a key on their own account, beside those that act as the caller.
  services = {
    logs = [
      "logs.${data.aws_region.current.name}.amazonaws.com",
      "cloudtrail.amazonaws.com",
      "cloudwatch.amazonaws.com",
      "events.amazonaws.com",
      "budgets.amazonaws.com",
      "sns.amazonaws.com",
      "config.amazonaws.com",
    ]
  }
}

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:a key's policy names this key as "*"; the account's root lets IAM decide, as AWS advises
  #checkov:skip=CKV_AWS_111:as above
  #checkov:skip=CKV_AWS_356:as above

  for_each = var.classes

  statement {
    sid       = "AccountDecidesByIam"
    actions   = ["kms:*"]
    resources = ["*"] # in a key's own policy: this key

    principals {
      type        = "AWS"
      identifiers = [local.account]
    }
  }

  dynamic "statement" {
    for_each = contains(keys(local.services), each.key) ? [local.services[each.key]] : []

    content {
      sid       = "ServicesEncrypt"
      actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
      resources = ["*"]

      principals {
        type        = "Service"
        identifiers = statement.value
      }

      condition {
        test     = "StringEqualsIfExists"
        variable = "aws:SourceAccount"
        values   = [data.aws_caller_identity.current.account_id]
      }
    }
  }

  dynamic "statement" {
    for_each = each.key == "disks" && var.autoscaling_role_arn != null ? [var.autoscaling_role_arn] : []

    content {
      sid       = "AutoScalingStartsNodes"
      actions   = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
      resources = ["*"]

      principals {
        type        = "AWS"
        identifiers = [statement.value]
      }
    }
  }
}

resource "aws_kms_key" "this" {
  for_each = var.classes

  description             = "${var.name}: ${each.value}"
  enable_key_rotation     = true
  deletion_window_in_days = var.deletion_window_days
  policy                  = data.aws_iam_policy_document.key[each.key].json
  tags                    = { DataClass = each.key }
}

resource "aws_kms_alias" "this" {
  for_each = var.classes

  name          = "alias/${var.name}-${each.key}"
  target_key_id = aws_kms_key.this[each.key].key_id
}
