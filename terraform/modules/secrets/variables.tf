variable "name" {
  description = "Prefix of the secrets' names."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name: 3 to 32 lower-case letters, digits and dashes, beginning with a letter."
  }
}

variable "secrets" {
  description = "Random secrets and what each is for."
  type        = map(string)
  default = {
    front-door-signing = "Signs the tokens of the front door"
    control-api        = "Token between the command line and the controller"
  }

  validation {
    condition     = length(var.secrets) > 0 && alltrue([for secret in keys(var.secrets) : can(regex("^[a-z][a-z0-9-]*$", secret))])
    error_message = "secrets: at least one; lower-case letters, digits and dashes."
  }
}

variable "rotation_days" {
  description = "Days after which a secret changes."
  type        = number
  default     = 30

  validation {
    condition     = var.rotation_days >= 1 && var.rotation_days <= 365
    error_message = "rotation_days: 1 to 365."
  }
}

variable "recovery_days" {
  description = "Days in which the deletion of a secret can be taken back; 0 deletes at once."
  type        = number
  default     = 30

  validation {
    condition     = var.recovery_days == 0 || (var.recovery_days >= 7 && var.recovery_days <= 30)
    error_message = "recovery_days: 0, or 7 to 30."
  }
}

variable "reserved_concurrency" {
  description = "Rotations at the same time, taken from the account's own limit, of which a new account has none to give; -1 takes nothing."
  type        = number
  default     = -1

  validation {
    condition     = var.reserved_concurrency == -1 || var.reserved_concurrency >= 1
    error_message = "reserved_concurrency: -1, or at least 1; with 0 nothing rotates."
  }
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 90
}

variable "secrets_key_arn" {
  description = "Key that encrypts the secrets."
  type        = string
}

variable "logs_key_arn" {
  description = "Key that encrypts the logs."
  type        = string
}
