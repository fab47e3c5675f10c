output "urls" {
  description = "Addresses to push to, by image."
  value       = { for image, repository in aws_ecr_repository.this : image => repository.repository_url }
}

output "arns" {
  description = "ARNs, by image."
  value       = { for image, repository in aws_ecr_repository.this : image => repository.arn }
}
