variable "name" {
  description = "What everything here is called after."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name: 3 to 32 lower-case letters, digits and dashes, beginning with a letter."
  }
}

variable "alarm_emails" {
  description = "Addresses that hear of alarms; each must confirm."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for email in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "alarm_emails: addresses such as \"oncall@example.com\"."
  }
}

variable "alarms" {
  description = "Alarms on metrics, by name. period is in seconds; it must be so for that many periods."
  type = map(object({
    description = string
    namespace   = string
    metric      = string
    dimensions  = map(string)
    statistic   = optional(string, "Average")
    below       = optional(bool, false)
    threshold   = number
    period      = optional(number, 300)
    periods     = optional(number, 2)
  }))
  default = {}
}

variable "config_rules" {
  description = "AWS Config's managed rules, by a name for each; empty: Config is not used."
  type        = map(string)
  nullable    = false
  default = {
    buckets-not-public    = "S3_BUCKET_PUBLIC_READ_PROHIBITED"
    buckets-encrypted     = "S3_BUCKET_SERVER_SIDE_ENCRYPTION_ENABLED"
    disks-encrypted       = "ENCRYPTED_VOLUMES"
    databases-encrypted   = "RDS_STORAGE_ENCRYPTED"
    databases-not-public  = "RDS_INSTANCE_PUBLIC_ACCESS_CHECK"
    keys-rotate           = "CMK_BACKING_KEY_ROTATION_ENABLED"
    trail-on              = "CLOUD_TRAIL_ENABLED"
    root-has-mfa          = "ROOT_ACCOUNT_MFA_ENABLED"
    ssh-not-from-anywhere = "INCOMING_SSH_DISABLED"
    metadata-v2           = "EC2_IMDSV2_CHECK"
  }
}

variable "owns_account" {
  description = "Whether GuardDuty, of which an account has one in each region, is turned on from here."
  type        = bool
  default     = true
}

variable "watched_bucket_arns" {
  description = "Buckets whose objects' every read and write is in the trail."
  type        = list(string)

  validation {
    condition     = length(var.watched_bucket_arns) > 0
    error_message = "watched_bucket_arns: at least one."
  }
}

variable "access_logs_bucket" {
  description = "Bucket that takes the access logs of the audit bucket."
  type        = string
}

variable "trail_days" {
  description = "Days for which trails are kept."
  type        = number
  default     = 400

  validation {
    condition     = var.trail_days >= 365
    error_message = "trail_days: a year at least, as most audits ask."
  }
}

variable "log_retention_days" {
  description = "Days for which the searchable copy of the trail is kept."
  type        = number
  default     = 90
}

variable "logs_key_arn" {
  description = "Key that encrypts trails and alarms."
  type        = string
}

variable "protected" {
  description = "Whether the bucket with something in it can't be destroyed."
  type        = bool
  default     = true
}
