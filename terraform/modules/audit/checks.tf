# GuardDuty looks at trails, flow logs and DNS; Config at whether things are as they should be.

resource "aws_guardduty_detector" "this" {
  #checkov:skip=CKV2_AWS_3:one account and one region; an organisation turns it on from its own account

  count = var.owns_account ? 1 : 0

  enable                       = true
  finding_publishing_frequency = "FIFTEEN_MINUTES"
}

resource "aws_cloudwatch_event_rule" "findings" {
  count = var.owns_account ? 1 : 0

  name          = "${var.name}-guardduty"
  description   = "Findings of GuardDuty from severity 4 (medium)"
  event_pattern = jsonencode({ source = ["aws.guardduty"], "detail-type" = ["GuardDuty Finding"], detail = { severity = [{ numeric = [">=", 4] }] } })
}

resource "aws_cloudwatch_event_target" "findings" {
  count = var.owns_account ? 1 : 0

  rule = aws_cloudwatch_event_rule.findings[0].name
  arn  = aws_sns_topic.alarms.arn
}

data "aws_iam_policy_document" "config_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["config.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "config" {
  count = length(var.config_rules) > 0 ? 1 : 0

  name               = "${var.name}-config"
  assume_role_policy = data.aws_iam_policy_document.config_trust.json
}

resource "aws_iam_role_policy_attachment" "config" {
  count = length(var.config_rules) > 0 ? 1 : 0

  role       = aws_iam_role.config[0].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AWS_ConfigRole"
}

resource "aws_config_configuration_recorder" "this" {
  count = length(var.config_rules) > 0 ? 1 : 0

  name     = var.name
  role_arn = aws_iam_role.config[0].arn

  recording_group {
    all_supported                 = true
    include_global_resource_types = true
  }
}

resource "aws_config_delivery_channel" "this" {
  count = length(var.config_rules) > 0 ? 1 : 0

  name           = var.name
  s3_bucket_name = aws_s3_bucket.this.id
  s3_key_prefix  = "config"

  depends_on = [aws_config_configuration_recorder.this, aws_s3_bucket_policy.this]
}

resource "aws_config_configuration_recorder_status" "this" {
  count = length(var.config_rules) > 0 ? 1 : 0

  name       = aws_config_configuration_recorder.this[0].name
  is_enabled = true

  depends_on = [aws_config_delivery_channel.this]
}

resource "aws_config_config_rule" "this" {
  for_each = var.config_rules

  name = "${var.name}-${each.key}"

  source {
    owner             = "AWS"
    source_identifier = each.value
  }

  depends_on = [aws_config_configuration_recorder.this]
}
