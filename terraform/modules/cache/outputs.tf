output "address" {
  description = "Host name of the node that takes writes."
  value       = aws_elasticache_replication_group.this.primary_endpoint_address
}

output "port" {
  description = "Port; TLS alone."
  value       = aws_elasticache_replication_group.this.port
}

output "id" {
  description = "Identifier of the replication group."
  value       = aws_elasticache_replication_group.this.id
}

output "secret_arn" {
  description = "Secret with the token."
  value       = aws_secretsmanager_secret.token.arn
}
