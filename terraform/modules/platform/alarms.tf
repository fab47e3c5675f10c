# What somebody should hear of at night; the cluster's own alarms are Prometheus'.

locals {
  load_balancer = { LoadBalancer = module.edge.load_balancer_suffix }

  alarms = merge({
    edge-errors = {
      description = "The load balancer itself answers 5xx: no healthy target, or none in time"
      namespace   = "AWS/ApplicationELB"
      metric      = "HTTPCode_ELB_5XX_Count"
      dimensions  = local.load_balancer
      statistic   = "Sum"
      threshold   = 50
    }
    edge-targets = {
      description = "Targets behind the load balancer are unhealthy"
      namespace   = "AWS/ApplicationELB"
      metric      = "UnHealthyHostCount"
      dimensions  = merge(local.load_balancer, { TargetGroup = module.edge.target_group_suffix })
      statistic   = "Maximum"
      threshold   = 0
    }
    database-cpu = {
      description = "PostgreSQL has had more than 80 % CPU for ten minutes"
      namespace   = "AWS/RDS"
      metric      = "CPUUtilization"
      dimensions  = { DBInstanceIdentifier = module.database.identifier }
      threshold   = 80
    }
    database-storage = {
      description = "PostgreSQL has less than 5 GiB left"
      namespace   = "AWS/RDS"
      metric      = "FreeStorageSpace"
      dimensions  = { DBInstanceIdentifier = module.database.identifier }
      statistic   = "Minimum"
      below       = true
      threshold   = 5 * 1024 * 1024 * 1024
    }
    }, {
    # Of a replication group as a whole ElastiCache tells nothing.
    for index, node in flatten(module.cache[*].nodes) : "cache-memory-${index + 1}" => {
      description = "Redis uses more than 90 % of the memory of ${node}"
      namespace   = "AWS/ElastiCache"
      metric      = "DatabaseMemoryUsagePercentage"
      dimensions  = { CacheClusterId = node }
      threshold   = 90
    }
  })
}
