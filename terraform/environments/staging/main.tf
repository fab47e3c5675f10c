# staging: prod's shape at dev's size, so that what works here works there.

locals {
  name = "modelserve-staging"
  tags = {
    Project     = "modelserve"
    Environment = "staging"
    Owner       = var.owner
    CostCenter  = "modelserve-staging"
    ManagedBy   = "terraform"
  }
}

module "platform" {
  source = "../../modules/platform"

  name        = local.name
  environment = "staging"
  tags        = local.tags
  protected   = false

  cidr  = "10.20.0.0/16"
  zones = [for letter in ["a", "b", "c"] : "${var.region}${letter}"]
  nat   = "one"

  access              = var.access
  public_access_cidrs = var.public_access_cidrs

  node_groups = {
    general = { instance_types = ["m6i.large"], min = 2, max = 6, desired = 2 }

    high-memory = {
      instance_types = ["r6i.large"]
      min            = 0
      max            = 2
      labels         = { workload = "high-memory" }
      taints         = { workload = { value = "high-memory", effect = "NO_SCHEDULE" } }
    }

    batch = {
      instance_types = ["m5.xlarge", "m5a.xlarge", "m6i.xlarge", "m6a.xlarge"]
      min            = 0
      max            = 6
      spot           = true
      labels         = { workload = "batch" }
      taints         = { workload = { value = "batch", effect = "NO_SCHEDULE" } }
    }

    gpu = {
      instance_types = ["g4dn.xlarge", "g5.xlarge", "g6.xlarge"]
      ami_type       = "AL2023_x86_64_NVIDIA"
      min            = 0
      max            = 2
      spot           = true
      disk_gib       = 100
      labels         = { workload = "gpu" }
      taints         = { "nvidia.com/gpu" = { value = "true", effect = "NO_SCHEDULE" } }
    }
  }

  database = { instance_class = "db.t4g.medium", multi_az = true, backup_days = 7 }
  cache    = { node_type = "cache.t4g.small", replicas = 1 }

  domain       = var.domain
  zone_id      = var.zone_id
  owns_account = var.owns_account
  ci           = var.ci

  alarm_emails       = var.alarm_emails
  budget             = { monthly_usd = 1200, emails = [] }
  config_rules       = {} # the account's recorder belongs to prod
  log_retention_days = 30
}
