variable "name" {
  description = "Prefix of the keys' aliases."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name: 3 to 32 lower-case letters, digits and dashes, beginning with a letter."
  }
}

variable "classes" {
  description = "Classes of data and what they hold. The class \"logs\" may be used by AWS's logging services."
  type        = map(string)
  default = {
    artifacts = "models, captured traffic and backups"
    cluster   = "secrets of the Kubernetes cluster"
    database  = "records in PostgreSQL and Redis"
    disks     = "disks of the nodes"
    logs      = "logs, trails and alarms"
    secrets   = "Secrets Manager"
  }

  validation {
    condition     = length(var.classes) > 0 && alltrue([for class in keys(var.classes) : can(regex("^[a-z]+$", class))])
    error_message = "classes: at least one; each is one lower-case word."
  }
}

variable "deletion_window_days" {
  description = "Days in which the deletion of a key can be taken back."
  type        = number
  default     = 30

  validation {
    condition     = var.deletion_window_days >= 7 && var.deletion_window_days <= 30
    error_message = "deletion_window_days: AWS allows 7 to 30."
  }
}

variable "autoscaling_role_arn" {
  description = "Role of Auto Scaling that starts nodes with disks under the key \"disks\"; null where there is no such class."
  type        = string
  default     = null
}
