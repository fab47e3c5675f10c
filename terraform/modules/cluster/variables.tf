variable "name" {
  description = "Name of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name: 3 to 32 lower-case letters, digits and dashes, beginning with a letter."
  }
}

variable "kubernetes_version" {
  description = "Version of Kubernetes, such as \"1.35\". At the end of its standard support EKS raises it."
  type        = string
  nullable    = false
  default     = "1.35"

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.kubernetes_version))
    error_message = "kubernetes_version: minor versions alone, such as \"1.35\"; EKS chooses the patch."
  }
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, at least two, for the control plane's interfaces and the nodes."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids: EKS needs subnets in two zones at least."
  }
}

variable "public_access_cidrs" {
  description = "Address ranges from which the API server may be called over the internet. Empty: from within the VPC alone."
  type        = list(string)
  default     = []

  validation {
    condition     = !contains(var.public_access_cidrs, "0.0.0.0/0") && alltrue([for cidr in var.public_access_cidrs : can(cidrhost(cidr, 0))])
    error_message = "public_access_cidrs: ranges such as \"198.51.100.0/24\"; the whole internet is refused."
  }
}

variable "access" {
  description = "Who may call the Kubernetes API: IAM principals, each with one of EKS's access policies, in some namespaces or (empty) in all."
  type = map(object({
    principal_arn = string
    policy        = string
    namespaces    = optional(list(string), [])
  }))
  default = {}

  validation {
    condition = alltrue([for entry in var.access : contains(
      ["AmazonEKSClusterAdminPolicy", "AmazonEKSAdminPolicy", "AmazonEKSEditPolicy", "AmazonEKSViewPolicy"], entry.policy
    )])
    error_message = "access: policy is AmazonEKSClusterAdminPolicy, AmazonEKSAdminPolicy, AmazonEKSEditPolicy or AmazonEKSViewPolicy."
  }
}

variable "addons" {
  description = "EKS add-ons by name; version null is the default for the cluster's version."
  type = map(object({
    version       = optional(string)
    configuration = optional(string)
  }))
  nullable = false
  default = {
    vpc-cni                = { configuration = "{\"enableNetworkPolicy\":\"true\"}" }
    coredns                = {}
    kube-proxy             = {}
    aws-ebs-csi-driver     = {}
    eks-pod-identity-agent = {}
  }
}

variable "addon_role_arns" {
  description = "Roles for the service accounts of add-ons, by add-on."
  type        = map(string)
  default     = {}
}

variable "node_groups" {
  description = "Managed node groups by name."
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

  validation {
    condition     = length(var.node_groups) > 0
    error_message = "node_groups: at least one, or nothing runs."
  }

  validation {
    condition     = alltrue([for nodes in var.node_groups : nodes.min >= 0 && nodes.max >= nodes.min && nodes.max > 0])
    error_message = "node_groups: 0 <= min <= max, and max above 0."
  }

  validation {
    condition     = alltrue([for nodes in var.node_groups : !nodes.spot || length(nodes.instance_types) >= 3])
    error_message = "node_groups: spot groups need at least three instance types, so that one that runs out leaves others."
  }

  validation {
    condition     = alltrue([for nodes in var.node_groups : !endswith(nodes.ami_type, "_NVIDIA") || contains(keys(nodes.taints), "nvidia.com/gpu")])
    error_message = "node_groups: a group with an NVIDIA image needs the taint nvidia.com/gpu, which keeps other pods off its dear machines."
  }

  validation {
    condition = alltrue(flatten([for nodes in var.node_groups : [for taint in nodes.taints :
      contains(["NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"], taint.effect)
    ]]))
    error_message = "node_groups: a taint's effect is NO_SCHEDULE, NO_EXECUTE or PREFER_NO_SCHEDULE."
  }
}

variable "node_tags" {
  description = "Tags for instances, disks and interfaces, which the provider's default tags do not reach."
  type        = map(string)
  default     = {}
}

variable "log_retention_days" {
  description = "Days for which the control plane's logs are kept."
  type        = number
  default     = 90
}

variable "cluster_key_arn" {
  description = "Key that encrypts Kubernetes secrets."
  type        = string
}

variable "disks_key_arn" {
  description = "Key that encrypts the nodes' disks."
  type        = string
}

variable "logs_key_arn" {
  description = "Key that encrypts logs and the queue of interruptions."
  type        = string
}
