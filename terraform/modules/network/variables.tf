variable "name" {
  description = "What everything here is called after."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name: 3 to 32 lower-case letters, digits and dashes, beginning with a letter."
  }
}

variable "cidr" {
  description = "Address range of the VPC."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && can(regex("/(1[6-8])$", var.cidr))
    error_message = "cidr: a range such as \"10.0.0.0/16\", with a prefix of 16 to 18 bits."
  }
}

variable "zones" {
  description = "Availability zones, such as [\"eu-central-1a\", \"eu-central-1b\", \"eu-central-1c\"]."
  type        = list(string)

  validation {
    condition     = length(var.zones) >= 2 && length(var.zones) <= 6 && length(distinct(var.zones)) == length(var.zones)
    error_message = "zones: two to six different ones; three are usual."
  }
}

variable "nat" {
  description = "NAT gateways: \"per_zone\" survives the loss of a zone, \"one\" is cheaper, \"none\" leaves private subnets without a way out."
  type        = string
  default     = "per_zone"

  validation {
    condition     = contains(["none", "one", "per_zone"], var.nat)
    error_message = "nat: \"none\", \"one\" or \"per_zone\"."
  }
}

variable "interface_endpoints" {
  description = "AWS services that get an endpoint in the private subnets, beside S3."
  type        = set(string)
  nullable    = false
  default     = ["ecr.api", "ecr.dkr", "logs", "secretsmanager", "sts"]
}

variable "flow_log_retention_days" {
  description = "Days for which flow logs are kept."
  type        = number
  default     = 90
}

variable "logs_key_arn" {
  description = "Key that encrypts the flow logs."
  type        = string
}
