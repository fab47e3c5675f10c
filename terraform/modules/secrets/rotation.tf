data "aws_caller_identity" "current" {}

locals {
  function = "${var.name}-rotate"
}

resource "aws_cloudwatch_log_group" "rotate" {
  #checkov:skip=CKV_AWS_338:the environment says how long; prod keeps a year

  name              = "/aws/lambda/${local.function}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.logs_key_arn
}

data "aws_iam_policy_document" "rotate_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "rotate" {
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.rotate.arn}:*"]
  }

  statement {
    sid = "Rotate"
    actions = [
      "secretsmanager:DescribeSecret",
      "secretsmanager:GetSecretValue",
      "secretsmanager:PutSecretValue",
      "secretsmanager:UpdateSecretVersionStage",
    ]
    resources = [for secret in aws_secretsmanager_secret.this : secret.arn]
  }

  statement {
    sid       = "MakeRandomValues"
    actions   = ["secretsmanager:GetRandomPassword"]
    resources = ["*"] # the call has no resource
  }

  # Lambda refuses to make a traced function whose role can't write traces.
  statement {
    sid       = "Trace"
    actions   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    resources = ["*"] # these calls have no resource
  }

  statement {
    sid       = "UseTheKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.secrets_key_arn]
  }
}

resource "aws_iam_role" "rotate" {
  name               = local.function
  assume_role_policy = data.aws_iam_policy_document.rotate_trust.json
}

resource "aws_iam_role_policy" "rotate" {
  name   = "allowed"
  role   = aws_iam_role.rotate.id
  policy = data.aws_iam_policy_document.rotate.json
}

resource "aws_lambda_function" "rotate" {
  #checkov:skip=CKV_AWS_116:Secrets Manager repeats a rotation that failed, and tells of it
  #checkov:skip=CKV_AWS_117:it calls Secrets Manager alone, and would need an endpoint of its own in the VPC
  #checkov:skip=CKV_AWS_272:its code comes with the module, and its hash stands in the state

  function_name                  = local.function
  description                    = "Gives random secrets a new value"
  role                           = aws_iam_role.rotate.arn
  runtime                        = "python3.13"
  handler                        = "rotate.handler"
  filename                       = "${path.module}/rotation/rotate.zip"
  source_code_hash               = filebase64sha256("${path.module}/rotation/rotate.zip")
  timeout                        = 30
  reserved_concurrent_executions = var.reserved_concurrency
  kms_key_arn                    = var.secrets_key_arn

  environment {
    variables = { SECRET_LENGTH = "64" }
  }

  tracing_config {
    mode = "Active"
  }

  depends_on = [aws_cloudwatch_log_group.rotate, aws_iam_role_policy.rotate]
}

resource "aws_lambda_permission" "rotate" {
  statement_id   = "SecretsManagerCalls"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.rotate.function_name
  principal      = "secretsmanager.amazonaws.com"
  source_account = data.aws_caller_identity.current.account_id
}
