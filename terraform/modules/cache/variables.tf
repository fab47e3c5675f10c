variable "name" {
  description = "Identifier of the replication group."
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
  description = "Database subnets."
  type        = list(string)
}

variable "client_security_group_ids" {
  description = "Security groups that may connect, by a name for each."
  type        = map(string)
}

variable "node_type" {
  description = "Size of a node."
  type        = string
  default     = "cache.t4g.small"

  validation {
    condition     = startswith(var.node_type, "cache.")
    error_message = "node_type: such as \"cache.t4g.small\"."
  }
}

variable "replicas" {
  description = "Nodes beside the first; with one or more, one of them takes over when the first is lost."
  type        = number
  default     = 1

  validation {
    condition     = var.replicas >= 0 && var.replicas <= 5
    error_message = "replicas: 0 to 5."
  }
}

variable "snapshot_days" {
  description = "Days for which snapshots are kept; 0: none, it is a cache."
  type        = number
  default     = 0
}

variable "log_retention_days" {
  description = "Days for which the slow log is kept."
  type        = number
  default     = 90
}

variable "database_key_arn" {
  description = "Key that encrypts what is stored."
  type        = string
}

variable "secrets_key_arn" {
  description = "Key that encrypts the token."
  type        = string
}

variable "logs_key_arn" {
  description = "Key that encrypts the logs."
  type        = string
}
