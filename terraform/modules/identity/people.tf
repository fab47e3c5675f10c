# Administrators, with a second factor within the last hour; and other accounts, which may read what is shared.

data "aws_iam_policy_document" "administrators_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }

    condition {
      test     = "Bool"
      variable = "aws:MultiFactorAuthPresent"
      values   = ["true"]
    }

    condition {
      test     = "NumericLessThan"
      variable = "aws:MultiFactorAuthAge"
      values   = ["3600"]
    }
  }
}

resource "aws_iam_role" "administrators" {
  name                 = "${var.name}-administrators"
  description          = "Administrators of ${var.name}; asks for a second factor"
  assume_role_policy   = data.aws_iam_policy_document.administrators_trust.json
  max_session_duration = 3600
}

data "aws_iam_policy_document" "administrators" {
  statement {
    sid       = "FindTheCluster"
    actions   = ["eks:AccessKubernetesApi", "eks:DescribeCluster", "eks:DescribeNodegroup", "eks:ListNodegroups"]
    resources = [var.cluster_arn, "${replace(var.cluster_arn, ":cluster/", ":nodegroup/")}/*"]
  }

  statement {
    sid       = "ReadOurLogs"
    actions   = ["logs:FilterLogEvents", "logs:GetLogEvents"]
    resources = ["arn:${local.partition}:logs:*:${local.account}:log-group:/${var.name}/*", "arn:${local.partition}:logs:*:${local.account}:log-group:/aws/eks/${var.name}/*"]
  }
}

resource "aws_iam_role_policy" "administrators" {
  name   = "allowed"
  role   = aws_iam_role.administrators.id
  policy = data.aws_iam_policy_document.administrators.json
}

data "aws_iam_policy_document" "accounts_trust" {
  count = var.cross_account == null ? 0 : 1

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = [for account in var.cross_account.account_ids : "arn:${local.partition}:iam::${account}:root"]
    }

    condition {
      test     = "StringEquals"
      variable = "sts:ExternalId"
      values   = [var.cross_account.external_id]
    }
  }
}

resource "aws_iam_role" "accounts" {
  count = var.cross_account == null ? 0 : 1

  name               = "${var.name}-cross-account"
  description        = "Other accounts read the models of ${var.name}"
  assume_role_policy = data.aws_iam_policy_document.accounts_trust[0].json
}

data "aws_iam_policy_document" "accounts" {
  count = var.cross_account == null ? 0 : 1

  statement {
    sid       = "ReadModels"
    actions   = ["s3:GetObject", "s3:ListBucket"]
    resources = [var.cross_account.bucket_arn, "${var.cross_account.bucket_arn}/*"]
  }

  statement {
    sid       = "ReadThemDecrypted"
    actions   = ["kms:Decrypt"]
    resources = [var.cross_account.key_arn]
  }
}

resource "aws_iam_role_policy" "accounts" {
  count = var.cross_account == null ? 0 : 1

  name   = "allowed"
  role   = aws_iam_role.accounts[0].id
  policy = data.aws_iam_policy_document.accounts[0].json
}
