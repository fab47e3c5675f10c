mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name                      = "modelserve-test"
  domain                    = "models.example.com"
  vpc_id                    = "vpc-1"
  vpc_cidr                  = "10.0.0.0/16"
  subnet_ids                = ["subnet-1", "subnet-2"]
  private_subnet_ids        = ["subnet-3"]
  node_security_group_id    = "sg-1"
  cluster_security_group_id = "sg-2"
  access_logs_bucket        = "logs"
  logs_key_arn              = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "defaults" {
  command = plan

  assert {
    condition     = aws_lb_listener.https.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06" && aws_lb_listener.http.default_action[0].redirect[0].protocol == "HTTPS"
    error_message = "TLS 1.2 at least; HTTP is sent on."
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.this : rule.from_port]) == toset([80, 443])
    error_message = "The internet reaches two ports."
  }

  assert {
    condition     = aws_lb.this.drop_invalid_header_fields && aws_lb.this.enable_deletion_protection && one(aws_lb.this.access_logs).enabled
    error_message = "Odd headers are dropped, deletion is refused, access is logged."
  }

  assert {
    condition     = length([for rule in aws_wafv2_web_acl.this.rule : rule if rule.name == "rate"]) == 1 && length(aws_wafv2_web_acl.this.rule) == 4
    error_message = "A rate limit and three sets of managed rules."
  }

  assert {
    condition     = length(aws_route53_record.this) == 0 && length(aws_ec2_client_vpn_endpoint.this) + length(aws_vpc_security_group_ingress_rule.kubernetes) == 0
    error_message = "No zone, no name; no VPN unless asked for."
  }

  assert {
    condition     = length(aws_route53_record.proof) == 0 && aws_acm_certificate_validation.this.validation_record_fqdns == null
    error_message = "Without a zone it waits until somebody else has proven the domain."
  }
}

run "with_a_zone" {
  command = plan

  variables {
    zone_id = "Z0123456789"
  }

  override_resource {
    target = aws_acm_certificate.this
    values = {
      arn = "arn:aws:acm:eu-central-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
      domain_validation_options = [{
        domain_name           = "models.example.com"
        resource_record_name  = "_x.models.example.com"
        resource_record_type  = "CNAME"
        resource_record_value = "_y.acm-validations.aws"
      }]
    }
    override_during = plan
  }

  assert {
    condition     = aws_route53_record.proof["models.example.com"].type == "CNAME" && length(aws_acm_certificate_validation.this.validation_record_fqdns) == 1
    error_message = "The certificate is proven by a record."
  }

  assert {
    condition     = aws_route53_record.this[0].type == "A" && one(aws_route53_record.this[0].alias).evaluate_target_health
    error_message = "The name points to the load balancer."
  }
}

run "with_a_vpn" {
  command = plan

  variables {
    client_vpn = {
      server_certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
      client_certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/11111111-2222-3333-4444-555555555556"
      client_cidr            = "10.200.0.0/22"
    }
  }

  assert {
    condition     = aws_ec2_client_vpn_endpoint.this[0].split_tunnel && aws_ec2_client_vpn_endpoint.this[0].connection_log_options[0].enabled
    error_message = "Only what is for the VPC goes through it; connections are logged."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.kubernetes[0].security_group_id == "sg-2" && aws_vpc_security_group_ingress_rule.kubernetes[0].from_port == 443
    error_message = "The Kubernetes API lets it in."
  }
}

run "a_url_is_no_domain" {
  command = plan

  variables {
    domain = "https://models.example.com"
  }

  expect_failures = [var.domain]
}

run "a_small_vpn_range_is_refused" {
  command = plan

  variables {
    client_vpn = { server_certificate_arn = "a", client_certificate_arn = "b", client_cidr = "10.200.0.0/24" }
  }

  expect_failures = [var.client_vpn]
}

run "a_rate_of_ten_is_refused" {
  command = plan

  variables {
    rate_limit = 10
  }

  expect_failures = [var.rate_limit]
}
