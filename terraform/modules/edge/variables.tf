variable "name" {
  description = "What everything here is called after."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name)) && !startswith(var.name, "internal-")
    error_message = "name: 3 to 32 lower-case letters, digits and dashes, beginning with a letter and not with \"internal-\"."
  }
}

variable "domain" {
  description = "Name under which clients call, such as \"models.example.com\"."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain: a host name such as \"models.example.com\"."
  }
}

variable "zone_id" {
  description = "Zone of Route 53 that the domain lies in; null where another DNS has it."
  type        = string
  default     = null
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "vpc_cidr" {
  description = "Its address range."
  type        = string
}

variable "subnet_ids" {
  description = "Public subnets, in two zones at least."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids: a load balancer needs subnets in two zones at least."
  }
}

variable "private_subnet_ids" {
  description = "Private subnets; the client VPN ends in the first."
  type        = list(string)
  default     = []
}

variable "node_security_group_id" {
  description = "Security group of the nodes."
  type        = string
}

variable "cluster_security_group_id" {
  description = "Security group of the Kubernetes API, which the client VPN reaches."
  type        = string
}

variable "target_port" {
  description = "Port of the ingress on its pods."
  type        = number
  default     = 8443
}

variable "rate_limit" {
  description = "Requests from one address in five minutes before it gets 429."
  type        = number
  default     = 10000

  validation {
    condition     = var.rate_limit >= 100
    error_message = "rate_limit: at least 100 in five minutes; below that pages of one person are blocked."
  }
}

variable "access_logs_bucket" {
  description = "Bucket that takes the load balancer's access logs under alb/."
  type        = string
}

variable "client_vpn" {
  description = "A client VPN for administrators; null for none. Certificates lie in ACM; client_cidr is a /22 or larger outside of the VPC."
  type = object({
    server_certificate_arn = string
    client_certificate_arn = string
    client_cidr            = string
  })
  default = null

  validation {
    condition     = var.client_vpn == null || can(regex("/(1[2-9]|2[0-2])$", var.client_vpn.client_cidr))
    error_message = "client_vpn: client_cidr has a prefix of 12 to 22 bits, such as \"10.200.0.0/22\"."
  }
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 90
}

variable "logs_key_arn" {
  description = "Key that encrypts the logs."
  type        = string
}

variable "protected" {
  description = "Whether the load balancer's deletion is refused."
  type        = bool
  default     = true
}
