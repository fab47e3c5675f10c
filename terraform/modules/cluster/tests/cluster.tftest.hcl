mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name            = "modelserve-test"
  vpc_id          = "vpc-1"
  subnet_ids      = ["subnet-1", "subnet-2", "subnet-3"]
  cluster_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  disks_key_arn   = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  logs_key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  node_groups = {
    general = { instance_types = ["m6i.large"], min = 1, max = 3 }
    batch   = { instance_types = ["m5.large", "m5a.large", "m6i.large"], min = 0, max = 3, spot = true }
    gpu = {
      instance_types = ["g5.xlarge"]
      ami_type       = "AL2023_x86_64_NVIDIA"
      min            = 0
      max            = 2
      placement      = true
      efa            = true
      taints         = { "nvidia.com/gpu" = { value = "true", effect = "NO_SCHEDULE" } }
    }
  }
}

run "defaults" {
  command = plan

  assert {
    condition     = !aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].endpoint_private_access
    error_message = "The API server is reached from the VPC alone."
  }

  assert {
    condition     = aws_eks_cluster.this.encryption_config[0].resources == toset(["secrets"])
    error_message = "Kubernetes secrets are encrypted by our key."
  }

  assert {
    condition     = contains(aws_eks_cluster.this.enabled_cluster_log_types, "audit") && aws_eks_cluster.this.access_config[0].authentication_mode == "API"
    error_message = "Who did what is logged; access entries decide who may."
  }

  assert {
    condition     = aws_eks_cluster.this.upgrade_policy[0].support_type == "STANDARD"
    error_message = "Nobody pays for an old version unasked."
  }

  assert {
    condition     = alltrue([for template in aws_launch_template.this : template.metadata_options[0].http_tokens == "required" && template.metadata_options[0].http_put_response_hop_limit == 1])
    error_message = "IMDSv2 alone, and out of reach for pods."
  }

  assert {
    condition     = alltrue([for template in aws_launch_template.this : template.block_device_mappings[0].ebs[0].encrypted == "true"])
    error_message = "Disks are encrypted."
  }

  assert {
    condition     = aws_eks_node_group.this["batch"].capacity_type == "SPOT" && aws_eks_node_group.this["general"].capacity_type == "ON_DEMAND"
    error_message = "Batch runs on spot machines."
  }

  assert {
    condition     = one(aws_eks_node_group.this["gpu"].taint).key == "nvidia.com/gpu" && aws_eks_node_group.this["gpu"].ami_type == "AL2023_x86_64_NVIDIA"
    error_message = "GPU nodes have NVIDIA's image and keep other pods away."
  }

  assert {
    condition     = keys(aws_placement_group.this) == ["gpu"] && length(aws_eks_node_group.this["gpu"].subnet_ids) == 1
    error_message = "What is placed together is in one zone."
  }

  assert {
    condition     = alltrue([for nodes in aws_eks_node_group.this : nodes.tags["k8s.io/cluster-autoscaler/modelserve-test"] == "owned"])
    error_message = "The autoscaler finds its groups."
  }

  assert {
    condition     = keys(aws_eks_addon.first) == ["eks-pod-identity-agent", "kube-proxy", "vpc-cni"] && keys(aws_eks_addon.this) == ["aws-ebs-csi-driver", "coredns"]
    error_message = "Three add-ons that nodes need, two that need nodes."
  }

  assert {
    condition     = jsondecode(aws_eks_addon.first["vpc-cni"].configuration_values).enableNetworkPolicy == "true"
    error_message = "Network policies are enforced."
  }

  assert {
    condition     = length(aws_cloudwatch_event_rule.interruptions) == 4
    error_message = "Interruptions are heard of."
  }
}

run "access_and_a_public_endpoint" {
  command = plan

  variables {
    public_access_cidrs = ["198.51.100.0/24"]
    access = {
      admins = { principal_arn = "arn:aws:iam::123456789012:role/admins", policy = "AmazonEKSClusterAdminPolicy" }
      team   = { principal_arn = "arn:aws:iam::123456789012:role/team", policy = "AmazonEKSEditPolicy", namespaces = ["modelserve"] }
    }
  }

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_public_access
    error_message = "Named ranges may call over the internet."
  }

  assert {
    condition     = aws_eks_access_policy_association.this["team"].access_scope[0].type == "namespace" && aws_eks_access_policy_association.this["admins"].access_scope[0].type == "cluster"
    error_message = "A team has its namespace, administrators have all."
  }
}

run "the_whole_internet_is_refused" {
  command = plan

  variables {
    public_access_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.public_access_cidrs]
}

run "spot_on_one_type_is_refused" {
  command = plan

  variables {
    node_groups = { batch = { instance_types = ["m5.large"], min = 0, max = 3, spot = true } }
  }

  expect_failures = [var.node_groups]
}

run "gpus_without_a_taint_are_refused" {
  command = plan

  variables {
    node_groups = { gpu = { instance_types = ["g5.xlarge"], ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1 } }
  }

  expect_failures = [var.node_groups]
}

run "more_than_the_most_is_refused" {
  command = plan

  variables {
    node_groups = { general = { instance_types = ["m6i.large"], min = 4, max = 3 } }
  }

  expect_failures = [var.node_groups]
}

run "an_unknown_policy_is_refused" {
  command = plan

  variables {
    access = { x = { principal_arn = "arn:aws:iam::123456789012:role/x", policy = "AdministratorAccess" } }
  }

  expect_failures = [var.access]
}

run "a_patch_version_is_refused" {
  command = plan

  variables {
    kubernetes_version = "1.35.1"
  }

  expect_failures = [var.kubernetes_version]
}
