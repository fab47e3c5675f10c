variable "name" {
  description = "What everything here is called after."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name: 3 to 32 lower-case letters, digits and dashes, beginning with a letter."
  }
}

variable "environment" {
  description = "Value of the tag Environment that the budget counts, once the tag is activated for cost allocation."
  type        = string
}

variable "budget" {
  description = "Dollars a month and who hears of 50, 80 and 100 percent; null for no budget."
  type = object({
    monthly_usd = number
    emails      = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.budget == null || try(var.budget.monthly_usd, 0) > 0
    error_message = "budget: monthly_usd is above 0."
  }
}

variable "nights" {
  description = "When the cluster's node groups and the database sleep and wake, as cron(...) in a time zone; null: never."
  type = object({
    cluster  = string
    database = string
    node_groups = map(object({
      min     = number
      desired = number
    }))
    sleep    = optional(string, "cron(0 20 ? * MON-FRI *)")
    wake     = optional(string, "cron(0 7 ? * MON-FRI *)")
    timezone = optional(string, "Europe/Berlin")
  })
  default = null

  validation {
    condition     = var.nights == null || (can(regex("^cron\\(.+\\)$", var.nights.sleep)) && can(regex("^cron\\(.+\\)$", var.nights.wake)))
    error_message = "nights: sleep and wake are such as \"cron(0 20 ? * MON-FRI *)\"."
  }
}

variable "snapshot_days" {
  description = "Days after which a nightly snapshot goes."
  type        = number
  default     = 14

  validation {
    condition     = var.snapshot_days >= 1
    error_message = "snapshot_days: at least 1."
  }
}

variable "alarms_topic_arn" {
  description = "Topic that hears of the budget, too."
  type        = string
}

variable "artifacts_key_arn" {
  description = "Key that encrypts backups and schedules."
  type        = string
}

variable "protected" {
  description = "Whether a vault with backups in it can't be destroyed."
  type        = bool
  default     = true
}
