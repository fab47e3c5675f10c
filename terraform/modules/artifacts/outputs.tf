output "buckets" {
  description = "Names of the buckets by kind: models, traffic, backups."
  value       = { for kind, bucket in aws_s3_bucket.this : kind => bucket.id }
}

output "bucket_arns" {
  description = "ARNs of the buckets by kind."
  value       = { for kind, bucket in aws_s3_bucket.this : kind => bucket.arn }
}

output "access_logs_bucket" {
  description = "Bucket of the access logs."
  value       = aws_s3_bucket.access_logs.id
}
