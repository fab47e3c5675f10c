output "arns" {
  description = "ARN of each class's key."
  value       = { for class, key in aws_kms_key.this : class => key.arn }
}
