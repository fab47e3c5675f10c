output "backend" {
  description = "What an environment's backend.hcl has to say, all but the key."
  value = {
    bucket         = aws_s3_bucket.state.id
    dynamodb_table = aws_dynamodb_table.lock.name
    kms_key_id     = aws_kms_key.state.arn
    encrypt        = true
  }
}
