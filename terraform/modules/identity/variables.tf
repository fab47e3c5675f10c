variable "name" {
  description = "Prefix of the roles' names."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name: 3 to 32 lower-case letters, digits and dashes, beginning with a letter."
  }
}

variable "oidc_provider_arn" {
  description = "The cluster's identity provider."
  type        = string
}

variable "oidc_issuer" {
  description = "The cluster's issuer without https://."
  type        = string

  validation {
    condition     = !startswith(var.oidc_issuer, "https://")
    error_message = "oidc_issuer: without https://, as conditions name it."
  }
}

variable "cluster_arn" {
  description = "The cluster that CI and administrators reach."
  type        = string
}

variable "services" {
  description = "A role for each service account, with statements by a name for each."
  type = map(object({
    namespace       = string
    service_account = string
    statements = map(object({
      actions   = list(string)
      resources = list(string)
      conditions = optional(list(object({
        test     = string
        variable = string
        values   = list(string)
      })), [])
    }))
  }))
  default = {}

  validation {
    condition     = alltrue(flatten([for service in var.services : [for each in service.statements : !contains(each.actions, "*")]]))
    error_message = "services: name the actions; \"*\" is refused."
  }

  validation {
    condition = alltrue(flatten([for service in var.services : [for each in service.statements :
      !contains(each.resources, "*") || !anytrue([for action in each.actions : strcontains(action, "*")])
    ]]))
    error_message = "services: actions with a wildcard need resources without one."
  }

  validation {
    condition     = alltrue([for service in var.services : !strcontains(service.service_account, "*") && !strcontains(service.namespace, "*")])
    error_message = "services: one service account in one namespace; no wildcards."
  }
}

variable "ci" {
  description = "GitHub repository (owner/name) that may push and deploy, for which subjects (\"ref:refs/heads/main\", \"environment:prod\"), and the image repositories; null for none."
  type = object({
    repository      = string
    subjects        = list(string)
    repository_arns = list(string)
  })
  default = null

  validation {
    condition     = var.ci == null || can(regex("^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", var.ci.repository))
    error_message = "ci: repository is \"owner/name\"."
  }

  validation {
    condition     = var.ci == null || (try(length(var.ci.subjects), 0) > 0 && alltrue([for subject in try(var.ci.subjects, []) : !strcontains(subject, "*")]))
    error_message = "ci: at least one subject, such as \"environment:prod\"; no wildcards, or any branch could deploy."
  }
}

variable "owns_account" {
  description = "Whether the provider of GitHub's identities, of which an account has one, is made here for \"ci\"; else it is there already."
  type        = bool
  default     = true
}

variable "cross_account" {
  description = "Other accounts that may read the models; null for none."
  type = object({
    account_ids = list(string)
    external_id = string
    bucket_arn  = string
    key_arn     = string
  })
  default = null

  validation {
    condition     = var.cross_account == null || (try(length(var.cross_account.external_id), 0) >= 16 && alltrue([for id in try(var.cross_account.account_ids, []) : can(regex("^[0-9]{12}$", id))]))
    error_message = "cross_account: account ids have 12 digits, and the external id at least 16 characters."
  }
}
