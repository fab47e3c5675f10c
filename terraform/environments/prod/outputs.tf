output "cluster" {
  description = "How the cluster is reached: aws eks update-kubeconfig --name ..."
  value       = module.platform.cluster
}

output "platform" {
  description = "What the manifests in k8s/ need: terraform output -json platform."
  value       = module.platform.platform
}

output "ci_role_arn" {
  description = "Role that GitHub Actions assumes."
  value       = module.platform.ci_role_arn
}

output "administrators_role_arn" {
  description = "Role that administrators assume with a second factor."
  value       = module.platform.administrators_role_arn
}

output "certificate_proof" {
  description = "Records that prove the domain, where Route 53 does not have it."
  value       = module.platform.certificate_proof
}
