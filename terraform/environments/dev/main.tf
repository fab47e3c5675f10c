# dev: the least that is whole. One NAT gateway, one zone for the database, spot machines, asleep at night.

locals {
  name = "modelserve-dev"
  tags = {
    Project     = "modelserve"
    Environment = "dev"
    Owner       = var.owner
    CostCenter  = "modelserve-dev"
    ManagedBy   = "terraform"
  }
}

module "platform" {
  source = "../../modules/platform"

  name        = local.name
  environment = "dev"
  tags        = local.tags
  protected   = false

  cidr  = "10.10.0.0/16"
  zones = [for letter in ["a", "b", "c"] : "${var.region}${letter}"]
  nat   = "one"

  access              = var.access
  public_access_cidrs = var.public_access_cidrs
  addons              = var.addons

  node_groups = {
    general = { instance_types = ["t3.large", "t3a.large", "m5.large"], min = 1, max = 4, desired = 2, spot = true }

    batch = {
      instance_types = ["m5.xlarge", "m5a.xlarge", "m6i.xlarge", "m6a.xlarge"]
      min            = 0
      max            = 4
      spot           = true
      labels         = { workload = "batch" }
      taints         = { workload = { value = "batch", effect = "NO_SCHEDULE" } }
    }

    gpu = {
      instance_types = ["g4dn.xlarge", "g5.xlarge", "g6.xlarge"]
      ami_type       = "AL2023_x86_64_NVIDIA"
      min            = 0
      max            = 1
      spot           = true
      disk_gib       = 100
      labels         = { workload = "gpu" }
      taints         = { "nvidia.com/gpu" = { value = "true", effect = "NO_SCHEDULE" } }
    }
  }

  database = { instance_class = "db.t4g.micro", multi_az = false, backup_days = 3 }
  cache    = var.cache

  domain       = var.domain
  zone_id      = var.zone_id
  owns_account = var.owns_account
  ci           = var.ci

  alarm_emails       = var.alarm_emails
  budget             = var.budget
  config_rules       = {} # the account's recorder belongs to prod
  sleeps_at_night    = true
  log_retention_days = 14
}
