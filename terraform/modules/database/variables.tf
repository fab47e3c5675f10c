variable "name" {
  description = "Identifier of the instance."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name)) && !strcontains(var.name, "--")
    error_message = "name: 3 to 32 lower-case letters, digits and single dashes, beginning with a letter."
  }
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Database subnets, in two zones at least."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids: RDS needs subnets in two zones at least, Multi-AZ or not."
  }
}

variable "client_security_group_ids" {
  description = "Security groups that may connect, by a name for each."
  type        = map(string)
}

variable "engine_version" {
  description = "Version of PostgreSQL: a major one such as \"16\", whose minor versions come by themselves."
  type        = string
  default     = "16"

  validation {
    condition     = can(regex("^1[4-9]$", var.engine_version))
    error_message = "engine_version: a major version of PostgreSQL from 14, such as \"16\"; AWS raises the minor ones, and none goes back."
  }
}

variable "instance_class" {
  description = "Size of the instance."
  type        = string
  default     = "db.t4g.medium"

  validation {
    condition     = startswith(var.instance_class, "db.")
    error_message = "instance_class: such as \"db.t4g.medium\"."
  }
}

variable "storage_gib" {
  description = "Storage to begin with; it grows by itself to five times as much."
  type        = number
  default     = 20

  validation {
    condition     = var.storage_gib >= 20
    error_message = "storage_gib: gp3 begins at 20."
  }
}

variable "multi_az" {
  description = "Whether a standby in another zone takes over."
  type        = bool
  default     = true
}

variable "backup_days" {
  description = "Days for which backups are kept."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_days >= 1 && var.backup_days <= 35
    error_message = "backup_days: 1 to 35; without backups there is no way back."
  }
}

variable "backup_window" {
  description = "Time in UTC in which a backup is made, 30 minutes at least, such as \"01:00-02:00\". A database that is stopped then gets none."
  type        = string
  nullable    = false
  default     = "01:00-02:00"

  validation {
    condition     = can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$", var.backup_window))
    error_message = "backup_window: such as \"01:00-02:00\", in UTC."
  }
}

variable "maintenance_window" {
  description = "Time in UTC in which minor versions come, such as \"sun:03:00-sun:04:00\"; outside of the backup's."
  type        = string
  nullable    = false
  default     = "sun:03:00-sun:04:00"

  validation {
    condition     = can(regex("^(mon|tue|wed|thu|fri|sat|sun):([01][0-9]|2[0-3]):[0-5][0-9]-(mon|tue|wed|thu|fri|sat|sun):([01][0-9]|2[0-3]):[0-5][0-9]$", var.maintenance_window))
    error_message = "maintenance_window: such as \"sun:03:00-sun:04:00\", in UTC."
  }
}

variable "protected" {
  description = "Whether deletion is refused, and leaves a snapshot where it is allowed in the end."
  type        = bool
  default     = true
}

variable "rotation_days" {
  description = "Days after which the master password changes; null for AWS's own seven."
  type        = number
  default     = null
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 90
}

variable "database_key_arn" {
  description = "Key that encrypts storage and performance insights."
  type        = string
}

variable "secrets_key_arn" {
  description = "Key that encrypts the master password."
  type        = string
}

variable "logs_key_arn" {
  description = "Key that encrypts the logs."
  type        = string
}
