variable "name" {
  description = "What everything of the platform is called after."
  type        = string
  default     = "modelserve"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name: 3 to 24 lower-case letters, digits and dashes, beginning with a letter."
  }
}

variable "bucket" {
  description = "Name of the state bucket, unique in the world; such as \"acme-modelserve-state\"."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket: 3 to 63 lower-case letters, digits and dashes; no dots, which break TLS."
  }
}
