output "service_role_arns" {
  description = "Role of each service account, for its annotation eks.amazonaws.com/role-arn."
  value       = { for service, role in aws_iam_role.service : service => role.arn }
}

output "ci_role_arn" {
  description = "Role that GitHub Actions assumes; null without CI."
  value       = one(aws_iam_role.ci[*].arn)
}

output "administrators_role_arn" {
  description = "Role that administrators assume with a second factor."
  value       = aws_iam_role.administrators.arn
}

output "cross_account_role_arn" {
  description = "Role that other accounts assume; null without them."
  value       = one(aws_iam_role.accounts[*].arn)
}
