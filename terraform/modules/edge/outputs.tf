output "url" {
  description = "Where clients call."
  value       = "https://${var.domain}"
}

output "load_balancer_arn" {
  description = "The load balancer."
  value       = aws_lb.this.arn
}

output "load_balancer_suffix" {
  description = "The load balancer as metrics name it."
  value       = aws_lb.this.arn_suffix
}

output "load_balancer_dns_name" {
  description = "The load balancer's own name, for a DNS outside of Route 53."
  value       = aws_lb.this.dns_name
}

output "target_group_arn" {
  description = "Target group that the ingress binds its pods to."
  value       = aws_lb_target_group.this.arn
}

output "target_group_suffix" {
  description = "Target group as metrics name it."
  value       = aws_lb_target_group.this.arn_suffix
}

output "web_acl_arn" {
  description = "The firewall's rules."
  value       = aws_wafv2_web_acl.this.arn
}

output "certificate_proof" {
  description = "Records that prove the domain to ACM, for a DNS outside of Route 53."
  value       = [for proof in aws_acm_certificate.this.domain_validation_options : { name = proof.resource_record_name, type = proof.resource_record_type, value = proof.resource_record_value }]
}
