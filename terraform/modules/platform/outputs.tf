output "cluster" {
  description = "How the cluster is reached."
  value = {
    name     = module.cluster.name
    endpoint = module.cluster.endpoint
  }
}

output "platform" {
  description = "What the manifests in k8s/ need, without a secret among it."
  value = {
    name                   = var.name
    environment            = var.environment
    url                    = module.edge.url
    target_group_arn       = module.edge.target_group_arn
    load_balancer_dns_name = module.edge.load_balancer_dns_name
    buckets                = module.artifacts.buckets
    images                 = module.registry.urls
    service_role_arns      = module.identity.service_role_arns
    interruptions_queue    = module.cluster.interruptions_queue_arn
    database = {
      address    = module.database.address
      port       = module.database.port
      name       = module.database.database
      secret_arn = module.database.secret_arn
    }
    cache = var.cache == null ? null : {
      address    = module.cache[0].address
      port       = module.cache[0].port
      secret_arn = module.cache[0].secret_arn
    }
    secret_arns = module.secrets.arns
  }
}

output "ci_role_arn" {
  description = "Role that GitHub Actions assumes."
  value       = module.identity.ci_role_arn
}

output "administrators_role_arn" {
  description = "Role that administrators assume with a second factor."
  value       = module.identity.administrators_role_arn
}

output "certificate_proof" {
  description = "Records that prove the domain, where Route 53 does not have it."
  value       = module.edge.certificate_proof
}

output "web_acl_arn" {
  description = "The firewall's rules."
  value       = module.edge.web_acl_arn
}
