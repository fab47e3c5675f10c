# Buckets for models, captured traffic and backups, and one for the access logs of all of them.

data "aws_caller_identity" "current" {}

locals {
  prefix = "${var.name}-${data.aws_caller_identity.current.account_id}"

  # kind => days after which objects get cheaper, and after which they are deleted (null: never).
  kinds = {
    models  = { infrequent = 90, archive = null, expire = null, old_versions = 90 }
    traffic = { infrequent = 30, archive = null, expire = var.traffic_days, old_versions = 7 }
    backups = { infrequent = 30, archive = 90, expire = var.backup_days, old_versions = 30 }
  }
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV2_AWS_62:nothing listens to these buckets; the controller lists them
  #checkov:skip=CKV_AWS_144:versions and the backup vault are the second copy; a second region doubles the cost and is the owner's to decide
  #checkov:skip=CKV2_AWS_6:set by a resource with for_each over this one, which checkov does not follow
  #checkov:skip=CKV2_AWS_61:set by a resource with for_each over this one, which checkov does not follow
  #checkov:skip=CKV_AWS_145:set by a resource with for_each over this one, which checkov does not follow
  #checkov:skip=CKV_AWS_18:set by a resource with for_each over this one, which checkov does not follow
  #checkov:skip=CKV_AWS_21:set by a resource with for_each over this one, which checkov does not follow

  for_each = local.kinds

  bucket        = "${local.prefix}-${each.key}"
  force_destroy = !var.protected
  tags          = { DataClass = each.key }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.artifacts_key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = aws_s3_bucket.this

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_logging" "this" {
  for_each = aws_s3_bucket.this

  bucket        = each.value.id
  target_bucket = aws_s3_bucket.access_logs.id
  target_prefix = "s3/${each.key}/"

  depends_on = [aws_s3_bucket_policy.access_logs]
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    id     = "cheaper-then-gone"
    status = "Enabled"

    filter {}

    transition {
      days          = local.kinds[each.key].infrequent
      storage_class = "STANDARD_IA"
    }

    dynamic "transition" {
      for_each = local.kinds[each.key].archive == null ? [] : [local.kinds[each.key].archive]

      content {
        days          = transition.value
        storage_class = "GLACIER_IR"
      }
    }

    dynamic "expiration" {
      for_each = local.kinds[each.key].expire == null ? [] : [local.kinds[each.key].expire]

      content {
        days = expiration.value
      }
    }

    noncurrent_version_expiration {
      noncurrent_days = local.kinds[each.key].old_versions
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

data "aws_iam_policy_document" "this" {
  for_each = aws_s3_bucket.this

  statement {
    sid       = "OnlyOverTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [each.value.arn, "${each.value.arn}/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  statement {
    sid       = "OnlyUnderOurKey"
    effect    = "Deny"
    actions   = ["s3:PutObject"]
    resources = ["${each.value.arn}/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "StringNotEqualsIfExists"
      variable = "s3:x-amz-server-side-encryption-aws-kms-key-id"
      values   = [var.artifacts_key_arn]
    }

    condition {
      test     = "Null"
      variable = "s3:x-amz-server-side-encryption-aws-kms-key-id"
      values   = ["false"] # an upload that names no key gets the bucket's
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id
  policy = data.aws_iam_policy_document.this[each.key].json

  depends_on = [aws_s3_bucket_public_access_block.this]
}
