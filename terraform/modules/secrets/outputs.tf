output "arns" {
  description = "ARN of each secret."
  value       = { for secret, resource in aws_secretsmanager_secret.this : secret => resource.arn }
}
