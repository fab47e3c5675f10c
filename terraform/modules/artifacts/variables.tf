variable "name" {
  description = "Prefix of the buckets' names; the account's number follows, since they are unique in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name: 3 to 32 lower-case letters, digits and dashes, beginning with a letter."
  }
}

variable "artifacts_key_arn" {
  description = "Key that encrypts the objects."
  type        = string
}

variable "traffic_days" {
  description = "Days for which captured traffic is kept; it may hold what clients sent."
  type        = number
  default     = 60

  validation {
    condition     = var.traffic_days > 30
    error_message = "traffic_days: more than 30, after which objects have moved to a cheaper class."
  }
}

variable "backup_days" {
  description = "Days for which backups are kept."
  type        = number
  default     = 365

  validation {
    condition     = var.backup_days > 180
    error_message = "backup_days: more than 180: the archive class bills at least 90 days, which begin at day 90."
  }
}

variable "access_log_days" {
  description = "Days for which access logs are kept."
  type        = number
  default     = 90
}

variable "protected" {
  description = "Whether buckets with something in them can't be destroyed."
  type        = bool
  default     = true
}
