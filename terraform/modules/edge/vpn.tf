# A way to private endpoints for administrators, by certificates. Off unless asked for: it bills by the hour.

resource "aws_cloudwatch_log_group" "vpn" {
  #checkov:skip=CKV_AWS_338:the environment says how long; prod keeps a year

  count = var.client_vpn == null ? 0 : 1

  name              = "/${var.name}/client-vpn"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.logs_key_arn
}

resource "aws_cloudwatch_log_stream" "vpn" {
  count = var.client_vpn == null ? 0 : 1

  name           = "connections"
  log_group_name = aws_cloudwatch_log_group.vpn[0].name
}

resource "aws_security_group" "vpn" {
  count = var.client_vpn == null ? 0 : 1

  name        = "${var.name}-client-vpn"
  description = "Administrators on the VPN to HTTPS in the VPC"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-client-vpn" }
}

resource "aws_vpc_security_group_egress_rule" "vpn" {
  count = var.client_vpn == null ? 0 : 1

  security_group_id = aws_security_group.vpn[0].id
  description       = "HTTPS in the VPC"
  cidr_ipv4         = var.vpc_cidr
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = { Name = "${var.name}-client-vpn-https" }
}

resource "aws_vpc_security_group_ingress_rule" "kubernetes" {
  count = var.client_vpn == null ? 0 : 1

  security_group_id            = var.cluster_security_group_id
  description                  = "From administrators on the VPN to the Kubernetes API"
  referenced_security_group_id = aws_security_group.vpn[0].id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  tags                         = { Name = "${var.name}-kubernetes-client-vpn" }
}

resource "aws_ec2_client_vpn_endpoint" "this" {
  count = var.client_vpn == null ? 0 : 1

  description            = "Administrators of ${var.name}"
  server_certificate_arn = var.client_vpn.server_certificate_arn
  client_cidr_block      = var.client_vpn.client_cidr
  split_tunnel           = true
  session_timeout_hours  = 8
  vpc_id                 = var.vpc_id
  security_group_ids     = [aws_security_group.vpn[0].id]

  authentication_options {
    type                       = "certificate-authentication"
    root_certificate_chain_arn = var.client_vpn.client_certificate_arn
  }

  connection_log_options {
    enabled               = true
    cloudwatch_log_group  = aws_cloudwatch_log_group.vpn[0].name
    cloudwatch_log_stream = aws_cloudwatch_log_stream.vpn[0].name
  }
}

resource "aws_ec2_client_vpn_network_association" "this" {
  count = var.client_vpn == null ? 0 : 1

  client_vpn_endpoint_id = aws_ec2_client_vpn_endpoint.this[0].id
  subnet_id              = var.private_subnet_ids[0]
}

resource "aws_ec2_client_vpn_authorization_rule" "this" {
  count = var.client_vpn == null ? 0 : 1

  client_vpn_endpoint_id = aws_ec2_client_vpn_endpoint.this[0].id
  target_network_cidr    = var.vpc_cidr
  authorize_all_groups   = true
}
