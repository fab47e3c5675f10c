# Secrets of the platform that are random strings (signing keys, tokens between services), and what changes them.
# Applications read them through the External Secrets operator; Terraform never sees a value.

resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:set by a resource with for_each over this one, which checkov does not follow

  for_each = var.secrets

  name_prefix             = "${var.name}/${each.key}-"
  description             = each.value
  kms_key_id              = var.secrets_key_arn
  recovery_window_in_days = var.recovery_days
}

resource "aws_secretsmanager_secret_rotation" "this" {
  for_each = aws_secretsmanager_secret.this

  secret_id           = each.value.id
  rotation_lambda_arn = aws_lambda_function.rotate.arn
  rotate_immediately  = true # the first value is made by it, too

  rotation_rules {
    automatically_after_days = var.rotation_days
  }

  depends_on = [aws_lambda_permission.rotate, aws_iam_role_policy.rotate]
}
