# prod: no single zone, machine or person on which it all depends; what holds data can't be deleted by mistake.

locals {
  name = "modelserve-prod"
  tags = {
    Project     = "modelserve"
    Environment = "prod"
    Owner       = var.owner
    CostCenter  = "modelserve-prod"
    ManagedBy   = "terraform"
  }
}

module "platform" {
  source = "../../modules/platform"

  name        = local.name
  environment = "prod"
  tags        = local.tags
  protected   = true

  cidr  = "10.30.0.0/16"
  zones = [for letter in ["a", "b", "c"] : "${var.region}${letter}"]
  nat   = "per_zone"

  access              = var.access
  public_access_cidrs = var.public_access_cidrs

  node_groups = {
    general = { instance_types = ["m6i.xlarge"], min = 3, max = 12, desired = 3 }

    high-memory = {
      instance_types = ["r6i.2xlarge"]
      min            = 0
      max            = 6
      disk_gib       = 100
      labels         = { workload = "high-memory" }
      taints         = { workload = { value = "high-memory", effect = "NO_SCHEDULE" } }
    }

    batch = {
      instance_types = ["m5.2xlarge", "m5a.2xlarge", "m6i.2xlarge", "m6a.2xlarge"]
      min            = 0
      max            = 12
      spot           = true
      labels         = { workload = "batch" }
      taints         = { workload = { value = "batch", effect = "NO_SCHEDULE" } }
    }

    gpu = {
      instance_types = ["g5.2xlarge"]
      ami_type       = "AL2023_x86_64_NVIDIA"
      min            = 1
      max            = 8
      desired        = 1
      disk_gib       = 200
      labels         = { workload = "gpu" }
      taints         = { "nvidia.com/gpu" = { value = "true", effect = "NO_SCHEDULE" } }
    }
  }

  database = { instance_class = "db.m6g.large", storage_gib = 100, multi_az = true, backup_days = 30, rotation_days = 30 }
  cache    = { node_type = "cache.m6g.large", replicas = 2 }

  domain        = var.domain
  zone_id       = var.zone_id
  client_vpn    = var.client_vpn
  owns_account  = var.owns_account
  ci            = var.ci
  cross_account = var.cross_account

  alarm_emails       = var.alarm_emails
  budget             = var.budget
  log_retention_days = 365
}
