# The second line behind security groups, by kind of subnet. They keep no state: answers need a rule, too.

locals {
  ephemeral = { from = 1024, to = 65535 }

  # kind => direction => rules in order. A rule without ports is for all of them.
  nacls = {
    public = {
      ingress = [
        { cidr = "0.0.0.0/0", from = 443, to = 443 },
        { cidr = "0.0.0.0/0", from = 80, to = 80 },
        merge({ cidr = "0.0.0.0/0" }, local.ephemeral),
        { cidr = var.cidr, from = 0, to = 65535 },
      ]
      egress = [
        merge({ cidr = "0.0.0.0/0" }, local.ephemeral),
        { cidr = "0.0.0.0/0", from = 443, to = 443 },
        { cidr = var.cidr, from = 0, to = 65535 },
      ]
    }
    private = {
      ingress = [
        { cidr = var.cidr, from = 0, to = 65535 },
        merge({ cidr = "0.0.0.0/0" }, local.ephemeral),
      ]
      egress = [
        { cidr = var.cidr, from = 0, to = 65535 },
        { cidr = "0.0.0.0/0", from = 443, to = 443 },
      ]
    }
    database = {
      ingress = [
        { cidr = var.cidr, from = 5432, to = 5432 },
        { cidr = var.cidr, from = 6379, to = 6379 },
      ]
      egress = [merge({ cidr = var.cidr }, local.ephemeral)]
    }
  }

  nacl_subnets = {
    public   = aws_subnet.public
    private  = aws_subnet.private
    database = aws_subnet.database
  }
}

resource "aws_network_acl" "this" {
  for_each = local.nacls

  vpc_id     = aws_vpc.this.id
  subnet_ids = [for subnet in local.nacl_subnets[each.key] : subnet.id]
  tags       = { Name = "${var.name}-${each.key}" }

  dynamic "ingress" {
    for_each = each.value.ingress

    content {
      rule_no    = 100 + 10 * ingress.key
      action     = "allow"
      protocol   = "tcp"
      cidr_block = ingress.value.cidr
      from_port  = ingress.value.from
      to_port    = ingress.value.to
    }
  }

  dynamic "egress" {
    for_each = each.value.egress

    content {
      rule_no    = 100 + 10 * egress.key
      action     = "allow"
      protocol   = "tcp"
      cidr_block = egress.value.cidr
      from_port  = egress.value.from
      to_port    = egress.value.to
    }
  }

  # DNS to the VPC's resolver and between nodes.
  dynamic "ingress" {
    for_each = each.key == "private" ? [1] : []

    content {
      rule_no    = 200
      action     = "allow"
      protocol   = "udp"
      cidr_block = var.cidr
      from_port  = 0
      to_port    = 65535
    }
  }

  dynamic "egress" {
    for_each = each.key == "private" ? [1] : []

    content {
      rule_no    = 200
      action     = "allow"
      protocol   = "udp"
      cidr_block = var.cidr
      from_port  = 0
      to_port    = 65535
    }
  }
}
