variable "name" {
  description = "What everything is called after, such as \"modelserve-dev\"."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name)) && !strcontains(var.name, "--")
    error_message = "name: 3 to 32 lower-case letters, digits and single dashes, beginning with a letter."
  }
}

variable "environment" {
  description = "Value of the tag Environment."
  type        = string
}

variable "tags" {
  description = "Tags for what the provider's default tags do not reach."
  type        = map(string)
}

variable "cidr" {
  description = "Address range of the VPC."
  type        = string
}

variable "zones" {
  description = "Availability zones."
  type        = list(string)
}

variable "nat" {
  description = "\"per_zone\", \"one\" or \"none\"; see the network module."
  type        = string
}

variable "interface_endpoints" {
  description = "AWS services with an endpoint in the VPC; null for those of modules/network."
  type        = set(string)
  default     = null
}

variable "kubernetes_version" {
  description = "Version of Kubernetes; null for that of modules/cluster."
  type        = string
  default     = null
}

variable "public_access_cidrs" {
  description = "Ranges from which the API server may be called over the internet; empty: none."
  type        = list(string)
  default     = []
}

variable "access" {
  description = "Who else may call the Kubernetes API, beside the role of the administrators and (in the namespace modelserve) that of CI; see the cluster module."
  type = map(object({
    principal_arn = string
    policy        = string
    namespaces    = optional(list(string), [])
  }))
  default = {}
}

variable "addons" {
  description = "EKS add-ons; null for those of modules/cluster."
  type = map(object({
    version       = optional(string)
    configuration = optional(string)
  }))
  default = null
}

variable "node_groups" {
  description = "Node groups; see the cluster module."
  type = map(object({
    instance_types = list(string)
    min            = number
    max            = number
    desired        = optional(number, 0)
    spot           = optional(bool, false)
    ami_type       = optional(string, "AL2023_x86_64_STANDARD")
    disk_gib       = optional(number, 50)
    labels         = optional(map(string), {})
    taints         = optional(map(object({ value = optional(string), effect = string })), {})
    placement      = optional(bool, false)
    efa            = optional(bool, false)
  }))
}

variable "database" {
  description = "Size and safety of PostgreSQL; see the database module."
  type = object({
    instance_class = string
    storage_gib    = optional(number, 20)
    multi_az       = bool
    backup_days    = number
    rotation_days  = optional(number)
  })
}

variable "cache" {
  description = "Size of Redis; null: no Redis, each model server has a cache of its own."
  type = object({
    node_type = string
    replicas  = number
  })
  default = null
}

variable "domain" {
  description = "Name under which clients call."
  type        = string
}

variable "zone_id" {
  description = "Zone of Route 53 that the domain lies in; null where another DNS has it."
  type        = string
  default     = null
}

variable "rate_limit" {
  description = "Requests from one address in five minutes before it gets 429."
  type        = number
  default     = 10000
}

variable "client_vpn" {
  description = "A client VPN for administrators; see the edge module."
  type = object({
    server_certificate_arn = string
    client_certificate_arn = string
    client_cidr            = string
  })
  default = null
}

variable "ci" {
  description = "GitHub repository that may push and deploy; null for none."
  type = object({
    repository = string
    subjects   = list(string)
  })
  default = null
}

variable "owns_account" {
  description = "Whether this environment makes what an account has once: GuardDuty, and the provider of GitHub's identities for \"ci\". True in one environment of an account."
  type        = bool
  default     = true
}

variable "cross_account" {
  description = "Other accounts that may read the models; null for none."
  type = object({
    account_ids = list(string)
    external_id = string
  })
  default = null
}

variable "alarm_emails" {
  description = "Addresses that hear of alarms."
  type        = set(string)
  default     = []
}

variable "config_rules" {
  description = "Rules of AWS Config; null for those of modules/audit. Empty: Config is not used, as where the account has a recorder already."
  type        = map(string)
  default     = null
}

variable "budget" {
  description = "Dollars a month, and who hears of them; null for no budget."
  type = object({
    monthly_usd = number
    emails      = optional(list(string), [])
  })
  default = null
}

variable "sleeps_at_night" {
  description = "Whether nodes and database stop between 20 and 7 o'clock and at weekends."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days: CloudWatch allows 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 or whole years up to ten."
  }
}

variable "protected" {
  description = "Whether the deletion of what holds data is refused."
  type        = bool
  default     = true
}
