output "name" {
  description = "Name of the cluster."
  value       = aws_eks_cluster.this.name
}

output "endpoint" {
  description = "Address of the API server."
  value       = aws_eks_cluster.this.endpoint
}

output "certificate_authority" {
  description = "The API server's certificate authority, base64."
  value       = aws_eks_cluster.this.certificate_authority[0].data
}

output "node_security_group_id" {
  description = "Group of all nodes."
  value       = aws_security_group.nodes.id
}

output "cluster_security_group_id" {
  description = "Group of the API server's interfaces in the VPC."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

output "oidc_provider_arn" {
  description = "The provider that roles for service accounts trust."
  value       = aws_iam_openid_connect_provider.this.arn
}

output "oidc_issuer" {
  description = "The issuer without https://, as conditions name it."
  value       = trimprefix(aws_eks_cluster.this.identity[0].oidc[0].issuer, "https://")
}

output "node_role_arn" {
  description = "Role of the nodes."
  value       = aws_iam_role.node.arn
}

output "node_groups" {
  description = "Names and usual sizes of the node groups."
  value       = { for group, nodes in var.node_groups : group => { min = nodes.min, max = nodes.max, desired = max(nodes.min, nodes.desired) } }
}

output "interruptions_queue_arn" {
  description = "Queue that tells of spot interruptions."
  value       = aws_sqs_queue.interruptions.arn
}

output "log_group" {
  description = "Log group of the control plane."
  value       = aws_cloudwatch_log_group.cluster.name
}

output "arn" {
  description = "ARN of the cluster."
  value       = aws_eks_cluster.this.arn
}
