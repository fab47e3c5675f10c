mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name                      = "modelserve-test"
  vpc_id                    = "vpc-1"
  subnet_ids                = ["subnet-1", "subnet-2"]
  client_security_group_ids = { nodes = "sg-1" }
  database_key_arn          = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  secrets_key_arn           = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  logs_key_arn              = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "defaults" {
  command = plan

  assert {
    condition     = aws_db_instance.this.multi_az && aws_db_instance.this.storage_encrypted && !aws_db_instance.this.publicly_accessible
    error_message = "A standby, encrypted, in private."
  }

  assert {
    condition     = aws_db_instance.this.manage_master_user_password && aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot
    error_message = "AWS keeps the password; nothing is deleted by mistake."
  }

  assert {
    condition     = contains([for parameter in aws_db_parameter_group.this.parameter : "${parameter.name}=${parameter.value}"], "rds.force_ssl=1")
    error_message = "Without TLS nobody connects."
  }

  assert {
    condition     = aws_db_instance.this.backup_retention_period == 14 && aws_db_instance.this.performance_insights_enabled
    error_message = "Two weeks of backups; performance insights."
  }

  assert {
    condition     = aws_db_instance.this.engine_version == "16" && aws_db_instance.this.auto_minor_version_upgrade && aws_db_parameter_group.this.family == "postgres16"
    error_message = "Minor versions are AWS's to choose."
  }

  assert {
    condition     = aws_db_instance.this.backup_window == "01:00-02:00" && aws_db_instance.this.maintenance_window == "sun:03:00-sun:04:00"
    error_message = "At night, when least is done."
  }

  assert {
    condition     = keys(aws_vpc_security_group_ingress_rule.this) == ["nodes"] && aws_vpc_security_group_ingress_rule.this["nodes"].from_port == 5432
    error_message = "Only those who are named connect."
  }

  assert {
    condition     = length(aws_secretsmanager_secret_rotation.master) == 0
    error_message = "AWS's own seven days, unless told."
  }
}

run "windows_in_the_day" {
  command = plan

  variables {
    backup_window      = "11:00-12:00"
    maintenance_window = "tue:12:00-tue:13:00"
  }

  assert {
    condition     = aws_db_instance.this.backup_window == "11:00-12:00" && aws_db_instance.this.maintenance_window == "tue:12:00-tue:13:00"
    error_message = "As told."
  }
}

run "an_hour_without_an_end_is_refused" {
  command = plan

  variables {
    backup_window = "11:00"
  }

  expect_failures = [var.backup_window]
}

run "a_window_on_no_day_is_refused" {
  command = plan

  variables {
    maintenance_window = "12:00-13:00"
  }

  expect_failures = [var.maintenance_window]
}

run "unprotected_and_alone" {
  command = plan

  variables {
    protected = false
    multi_az  = false
  }

  assert {
    condition     = !aws_db_instance.this.deletion_protection && aws_db_instance.this.skip_final_snapshot && !aws_db_instance.this.multi_az
    error_message = "dev goes without a trace."
  }
}

run "no_backups_are_refused" {
  command = plan

  variables {
    backup_days = 0
  }

  expect_failures = [var.backup_days]
}

run "an_old_version_is_refused" {
  command = plan

  variables {
    engine_version = "12.4"
  }

  expect_failures = [var.engine_version]
}

run "a_minor_version_is_refused" {
  command = plan

  variables {
    engine_version = "16.8"
  }

  expect_failures = [var.engine_version]
}

run "one_subnet_is_refused" {
  command = plan

  variables {
    subnet_ids = ["subnet-1"]
  }

  expect_failures = [var.subnet_ids]
}
