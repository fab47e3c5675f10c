# Managed node groups, one launch template for each: IMDSv2 alone, encrypted disks, no key to log in with.

locals {
  node_security_group_ids = [aws_eks_cluster.this.vpc_config[0].cluster_security_group_id, aws_security_group.nodes.id]
}

data "aws_iam_policy_document" "node_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "node" {
  name               = "${var.name}-node"
  assume_role_policy = data.aws_iam_policy_document.node_trust.json
}

resource "aws_iam_role_policy_attachment" "node" {
  for_each = toset([
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonEC2ContainerRegistryReadOnly",
    "AmazonSSMManagedInstanceCore",
  ])

  role       = aws_iam_role.node.name
  policy_arn = "${local.policy}/${each.key}"
}

# Beside the cluster's own group, in which nodes and control plane speak to each other: what others let in.
resource "aws_security_group" "nodes" {
  #checkov:skip=CKV2_AWS_5:launch templates have it, by a local value that checkov does not follow

  name        = "${var.name}-nodes"
  description = "The nodes, as databases and the load balancer know them"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-nodes" }
}

# Near to each other in one zone: for GPUs of several nodes that work on one model.
resource "aws_placement_group" "this" {
  for_each = { for group, nodes in var.node_groups : group => nodes if nodes.placement }

  name     = "${var.name}-${each.key}"
  strategy = "cluster"
}

resource "aws_launch_template" "this" {
  for_each = var.node_groups

  name                   = "${var.name}-${each.key}"
  update_default_version = true
  vpc_security_group_ids = each.value.efa ? null : local.node_security_group_ids

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = each.value.disk_gib
      encrypted             = true
      kms_key_id            = var.disks_key_arn
      delete_on_termination = true
    }
  }

  monitoring {
    enabled = true
  }

  dynamic "placement" {
    for_each = each.value.placement ? [aws_placement_group.this[each.key].name] : []

    content {
      group_name = placement.value
    }
  }

  # Elastic Fabric Adapter: traffic between nodes past the kernel, on instance types that have it.
  dynamic "network_interfaces" {
    for_each = each.value.efa ? [1] : []

    content {
      device_index                = 0
      interface_type              = "efa"
      associate_public_ip_address = false
      delete_on_termination       = true
      security_groups             = local.node_security_group_ids
    }
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume", "network-interface"])

    content {
      resource_type = tag_specifications.value
      tags          = merge(var.node_tags, { Name = "${var.name}-${each.key}", NodeGroup = each.key })
    }
  }
}

resource "aws_eks_node_group" "this" {
  for_each = var.node_groups

  cluster_name    = aws_eks_cluster.this.name
  node_group_name = each.key
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = each.value.placement ? slice(var.subnet_ids, 0, 1) : var.subnet_ids
  instance_types  = each.value.instance_types
  capacity_type   = each.value.spot ? "SPOT" : "ON_DEMAND"
  ami_type        = each.value.ami_type
  labels          = each.value.labels

  # Read by the Cluster Autoscaler, which finds its groups by them.
  tags = {
    "k8s.io/cluster-autoscaler/enabled"     = "true"
    "k8s.io/cluster-autoscaler/${var.name}" = "owned"
    NodeGroup                               = each.key
  }

  scaling_config {
    min_size     = each.value.min
    max_size     = each.value.max
    desired_size = max(each.value.min, each.value.desired)
  }

  update_config {
    max_unavailable_percentage = 33
  }

  launch_template {
    id      = aws_launch_template.this[each.key].id
    version = aws_launch_template.this[each.key].latest_version
  }

  dynamic "taint" {
    for_each = each.value.taints

    content {
      key    = taint.key
      value  = taint.value.value
      effect = taint.value.effect
    }
  }

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size] # the autoscaler's
  }

  depends_on = [aws_iam_role_policy_attachment.node, aws_eks_addon.first]
}
