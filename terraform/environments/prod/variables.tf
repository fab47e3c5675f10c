variable "region" {
  description = "AWS region."
  type        = string
  default     = "eu-central-1"
}

variable "max_retries" {
  description = "How often the provider repeats a call that failed."
  type        = number
  default     = 25
}

variable "domain" {
  description = "Name under which clients call, such as \"models.example.com\"."
  type        = string
}

variable "zone_id" {
  description = "Zone of Route 53 that the domain lies in; null where another DNS has it."
  type        = string
  default     = null
}

variable "owner" {
  description = "Value of the tag Owner: the team that pays."
  type        = string
  default     = "platform"
}

variable "public_access_cidrs" {
  description = "Ranges from which the Kubernetes API may be called over the internet; empty: from the VPC alone."
  type        = list(string)
  default     = []
}

variable "access" {
  description = "Who else may call the Kubernetes API, beside the roles of administrators and CI; see modules/cluster."
  type = map(object({
    principal_arn = string
    policy        = string
    namespaces    = optional(list(string), [])
  }))
  default = {}
}

variable "ci" {
  description = "GitHub repository that may push and deploy, such as { repository = \"acme/models\", subjects = [\"environment:prod\"] }."
  type = object({
    repository = string
    subjects   = list(string)
  })
  default = null
}

variable "owns_account" {
  description = "Whether GuardDuty and the provider of GitHub's identities, of which an account has one, are made here: true in one environment of an account."
  type        = bool
  default     = true
}

variable "alarm_emails" {
  description = "Addresses that hear of alarms and of the budget."
  type        = set(string)
  default     = []
}

variable "client_vpn" {
  description = "A client VPN for administrators; see modules/edge. null for none."
  type = object({
    server_certificate_arn = string
    client_certificate_arn = string
    client_cidr            = string
  })
  default = null
}

variable "cross_account" {
  description = "Other accounts that may read the models; null for none."
  type        = object({ account_ids = list(string), external_id = string })
  default     = null
}

variable "budget" {
  description = "Dollars a month, and who hears of them."
  type        = object({ monthly_usd = number, emails = optional(list(string), []) })
  default     = { monthly_usd = 6000 }
}
