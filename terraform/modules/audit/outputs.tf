output "alarms_topic_arn" {
  description = "Topic that all alarms go to."
  value       = aws_sns_topic.alarms.arn
}

output "trail_bucket" {
  description = "Bucket of the trails."
  value       = aws_s3_bucket.this.id
}
