# Everything that the cluster part of ModelServe stands on, put together. An environment says only what differs.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  # Auto Scaling's own role, which every account that has used it once has.
  autoscaling_role = "arn:${local.partition}:iam::${local.account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"

  access = merge(
    { administrators = { principal_arn = module.identity.administrators_role_arn, policy = "AmazonEKSClusterAdminPolicy", namespaces = [] } },
    var.ci == null ? {} : { ci = { principal_arn = module.identity.ci_role_arn, policy = "AmazonEKSEditPolicy", namespaces = ["modelserve"] } },
    var.access,
  )

  # A database that sleeps at night is neither backed up nor kept current at night.
  backup_window      = var.sleeps_at_night ? "11:00-12:00" : null
  maintenance_window = var.sleeps_at_night ? "tue:13:00-tue:14:00" : null
}

module "keys" {
  source = "../keys"

  name                 = var.name
  deletion_window_days = var.protected ? 30 : 7
  autoscaling_role_arn = local.autoscaling_role
}

module "network" {
  source = "../network"

  name                    = var.name
  cidr                    = var.cidr
  zones                   = var.zones
  nat                     = var.nat
  interface_endpoints     = var.interface_endpoints
  flow_log_retention_days = var.log_retention_days
  logs_key_arn            = module.keys.arns["logs"]
}

module "cluster" {
  source = "../cluster"

  name                = var.name
  kubernetes_version  = var.kubernetes_version
  vpc_id              = module.network.vpc_id
  subnet_ids          = module.network.private_subnet_ids
  public_access_cidrs = var.public_access_cidrs
  access              = local.access
  addons              = var.addons
  addon_role_arns     = { aws-ebs-csi-driver = module.identity.service_role_arns["ebs-csi"] }
  node_groups         = var.node_groups
  node_tags           = var.tags
  log_retention_days  = var.log_retention_days
  cluster_key_arn     = module.keys.arns["cluster"]
  disks_key_arn       = module.keys.arns["disks"]
  logs_key_arn        = module.keys.arns["logs"]
}

module "database" {
  source = "../database"

  name                      = var.name
  vpc_id                    = module.network.vpc_id
  subnet_ids                = module.network.database_subnet_ids
  client_security_group_ids = { nodes = module.cluster.node_security_group_id }
  instance_class            = var.database.instance_class
  storage_gib               = var.database.storage_gib
  multi_az                  = var.database.multi_az
  backup_days               = var.database.backup_days
  backup_window             = local.backup_window
  maintenance_window        = local.maintenance_window
  rotation_days             = var.database.rotation_days
  protected                 = var.protected
  log_retention_days        = var.log_retention_days
  database_key_arn          = module.keys.arns["database"]
  secrets_key_arn           = module.keys.arns["secrets"]
  logs_key_arn              = module.keys.arns["logs"]
}

module "cache" {
  source = "../cache"
  count  = var.cache == null ? 0 : 1

  name                      = var.name
  vpc_id                    = module.network.vpc_id
  subnet_ids                = module.network.database_subnet_ids
  client_security_group_ids = { nodes = module.cluster.node_security_group_id }
  node_type                 = var.cache.node_type
  replicas                  = var.cache.replicas
  log_retention_days        = var.log_retention_days
  database_key_arn          = module.keys.arns["database"]
  secrets_key_arn           = module.keys.arns["secrets"]
  logs_key_arn              = module.keys.arns["logs"]
}

module "artifacts" {
  source = "../artifacts"

  name              = var.name
  artifacts_key_arn = module.keys.arns["artifacts"]
  protected         = var.protected
}

module "registry" {
  source = "../registry"

  name              = var.name
  artifacts_key_arn = module.keys.arns["artifacts"]
  protected         = var.protected
}

module "edge" {
  source = "../edge"

  name                      = var.name
  domain                    = var.domain
  zone_id                   = var.zone_id
  vpc_id                    = module.network.vpc_id
  vpc_cidr                  = module.network.cidr
  subnet_ids                = module.network.public_subnet_ids
  private_subnet_ids        = module.network.private_subnet_ids
  node_security_group_id    = module.cluster.node_security_group_id
  cluster_security_group_id = module.cluster.cluster_security_group_id
  rate_limit                = var.rate_limit
  access_logs_bucket        = module.artifacts.access_logs_bucket
  client_vpn                = var.client_vpn
  log_retention_days        = var.log_retention_days
  logs_key_arn              = module.keys.arns["logs"]
  protected                 = var.protected
}

module "secrets" {
  source = "../secrets"

  name               = var.name
  recovery_days      = var.protected ? 30 : 7
  log_retention_days = var.log_retention_days
  secrets_key_arn    = module.keys.arns["secrets"]
  logs_key_arn       = module.keys.arns["logs"]
}

module "audit" {
  source = "../audit"

  name                = var.name
  alarm_emails        = var.alarm_emails
  alarms              = local.alarms
  config_rules        = var.config_rules
  owns_account        = var.owns_account
  watched_bucket_arns = values(module.artifacts.bucket_arns)
  access_logs_bucket  = module.artifacts.access_logs_bucket
  log_retention_days  = var.log_retention_days
  logs_key_arn        = module.keys.arns["logs"]
  protected           = var.protected
}

module "cost" {
  source = "../cost"

  name        = var.name
  environment = var.environment
  budget      = var.budget
  nights = !var.sleeps_at_night ? null : {
    cluster     = module.cluster.name
    database    = module.database.identifier
    node_groups = { for group, size in module.cluster.node_groups : group => { min = size.min, desired = size.desired } }
  }
  alarms_topic_arn  = module.audit.alarms_topic_arn
  artifacts_key_arn = module.keys.arns["artifacts"]
  protected         = var.protected
}
