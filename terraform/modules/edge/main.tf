# The way in: a load balancer in the public subnets, TLS 1.3 or 1.2 alone, and the group that the nodes let in.
# Pods join the target group by a TargetGroupBinding in the cluster.

resource "aws_security_group" "this" {
  name        = "${var.name}-edge"
  description = "The internet to the load balancer, and from there to the nodes"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-edge" }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  #checkov:skip=CKV_AWS_260:port 80 answers with a redirect to HTTPS and nothing else

  for_each = { http = 80, https = 443 }

  security_group_id = aws_security_group.this.id
  description       = each.key == "http" ? "Sent on to HTTPS" : "HTTPS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
  tags              = { Name = "${var.name}-edge-${each.key}" }
}

resource "aws_vpc_security_group_egress_rule" "nodes" {
  security_group_id            = aws_security_group.this.id
  description                  = "To the ingress on the nodes"
  referenced_security_group_id = var.node_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.target_port
  to_port                      = var.target_port
  tags                         = { Name = "${var.name}-edge-nodes" }
}

resource "aws_vpc_security_group_ingress_rule" "nodes" {
  security_group_id            = var.node_security_group_id
  description                  = "From the load balancer to the ingress"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = var.target_port
  to_port                      = var.target_port
  tags                         = { Name = "${var.name}-nodes-edge" }
}

resource "aws_lb" "this" {
  #checkov:skip=CKV2_AWS_76:the rule group stands in firewall.tf; checkov does not follow the association
  #checkov:skip=CKV_AWS_150:follows from protected, which dev and staging set to false

  name                       = var.name
  load_balancer_type         = "application"
  subnets                    = var.subnet_ids
  security_groups            = [aws_security_group.this.id]
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  enable_deletion_protection = var.protected
  idle_timeout               = 120

  access_logs {
    bucket  = var.access_logs_bucket
    prefix  = "alb"
    enabled = true
  }
}

resource "aws_lb_target_group" "this" {
  name                 = var.name
  vpc_id               = var.vpc_id
  target_type          = "ip"
  protocol             = "HTTPS" # the ingress has a certificate of its own: nothing goes in the clear
  port                 = var.target_port
  deregistration_delay = 30

  health_check {
    path                = "/healthz"
    protocol            = "HTTPS"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
    matcher             = "200"
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  protocol          = "HTTP"
  port              = 80

  default_action {
    type = "redirect"

    redirect {
      protocol    = "HTTPS"
      port        = "443"
      status_code = "HTTP_301"
    }
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  protocol          = "HTTPS"
  port              = 443
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = aws_acm_certificate_validation.this.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }
}
