# PostgreSQL on RDS: ModelServe's records. TLS is forced; the master password is made, kept and rotated by AWS.

data "aws_partition" "current" {}

locals {
  logs = ["postgresql", "upgrade"]
}

resource "aws_db_subnet_group" "this" {
  name        = var.name
  description = "Database subnets of ${var.name}"
  subnet_ids  = var.subnet_ids
}

resource "aws_security_group" "this" {
  name        = "${var.name}-database"
  description = "PostgreSQL from those who are named"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-database" }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.this.id
  description                  = "PostgreSQL from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  tags                         = { Name = "${var.name}-database-${each.key}" }
}

resource "aws_db_parameter_group" "this" {
  name_prefix = "${var.name}-"
  family      = "postgres${var.engine_version}"
  description = "TLS alone, and slow statements in the log"

  dynamic "parameter" {
    for_each = {
      "rds.force_ssl"              = "1"
      "log_min_duration_statement" = "500"
      "log_connections"            = "1"
      "log_disconnections"         = "1"
      "log_lock_waits"             = "1"
    }

    content {
      name  = parameter.key
      value = parameter.value
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:the environment says how long; prod keeps a year

  for_each = toset(local.logs)

  name              = "/aws/rds/instance/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.logs_key_arn
}

data "aws_iam_policy_document" "monitoring_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["monitoring.rds.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "monitoring" {
  name               = "${var.name}-database-monitoring"
  assume_role_policy = data.aws_iam_policy_document.monitoring_trust.json
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

resource "aws_db_instance" "this" {
  #checkov:skip=CKV2_AWS_69:rds.force_ssl is a parameter of its group, in a block that checkov does not unfold
  #checkov:skip=CKV_AWS_157:follows from multi_az, which dev sets to false
  #checkov:skip=CKV_AWS_293:follows from protected, which dev and staging set to false

  identifier     = var.name
  engine         = "postgres"
  engine_version = var.engine_version
  instance_class = var.instance_class
  db_name        = "modelserve"
  username       = "modelserve"

  manage_master_user_password         = true
  master_user_secret_kms_key_id       = var.secrets_key_arn
  iam_database_authentication_enabled = true

  storage_type          = "gp3"
  allocated_storage     = var.storage_gib
  max_allocated_storage = 5 * var.storage_gib
  storage_encrypted     = true
  kms_key_id            = var.database_key_arn

  multi_az               = var.multi_az
  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  publicly_accessible    = false
  parameter_group_name   = aws_db_parameter_group.this.name
  ca_cert_identifier     = "rds-ca-rsa2048-g1"

  backup_retention_period   = var.backup_days
  backup_window             = var.backup_window
  maintenance_window        = var.maintenance_window
  copy_tags_to_snapshot     = true
  deletion_protection       = var.protected
  skip_final_snapshot       = !var.protected
  final_snapshot_identifier = var.protected ? "${var.name}-final" : null
  delete_automated_backups  = !var.protected

  auto_minor_version_upgrade            = true
  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.database_key_arn
  performance_insights_retention_period = 7
  monitoring_interval                   = 60
  monitoring_role_arn                   = aws_iam_role.monitoring.arn
  enabled_cloudwatch_logs_exports       = local.logs

  depends_on = [aws_cloudwatch_log_group.this, aws_iam_role_policy_attachment.monitoring]
}

# AWS made the secret; how often it changes is ours to say.
resource "aws_secretsmanager_secret_rotation" "master" {
  #checkov:skip=CKV_AWS_304:follows from rotation_days; prod says 30

  count = var.rotation_days == null ? 0 : 1

  secret_id = aws_db_instance.this.master_user_secret[0].secret_arn

  rotation_rules {
    automatically_after_days = var.rotation_days
  }
}
