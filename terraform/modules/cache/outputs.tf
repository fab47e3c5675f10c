output "address" {
  description = "Host name of the node that takes writes."
  value       = aws_elasticache_replication_group.this.primary_endpoint_address
}

output "port" {
  description = "Port; TLS alone."
  value       = aws_elasticache_replication_group.this.port
}

output "nodes" {
  description = "Identifiers of the nodes, as metrics name them."
  value       = [for node in range(1 + var.replicas) : format("%s-%03d", aws_elasticache_replication_group.this.replication_group_id, node + 1)]
}

output "secret_arn" {
  description = "Secret with the token."
  value       = aws_secretsmanager_secret.token.arn
}
