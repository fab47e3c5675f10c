# What each service account in the cluster may do in AWS: no more than it does.

locals {
  models  = module.artifacts.bucket_arns["models"]
  traffic = module.artifacts.bucket_arns["traffic"]
  backups = module.artifacts.bucket_arns["backups"]
  key     = module.keys.arns["artifacts"]

  use_key  = { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = [local.key] }
  read_key = { actions = ["kms:Decrypt"], resources = [local.key] }

  services = {
    controller = {
      namespace       = "modelserve"
      service_account = "controller"
      statements = {
        Models  = { actions = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], resources = ["${local.models}/*"] }
        List    = { actions = ["s3:ListBucket"], resources = [local.models] }
        Traffic = { actions = ["s3:PutObject"], resources = ["${local.traffic}/*"] }
        Key     = local.use_key
      }
    }

    model-server = {
      namespace       = "modelserve"
      service_account = "model-server"
      statements = {
        Models = { actions = ["s3:GetObject"], resources = ["${local.models}/*"] }
        List   = { actions = ["s3:ListBucket"], resources = [local.models] }
        Key    = local.read_key
      }
    }

    backup = {
      namespace       = "modelserve"
      service_account = "backup"
      statements = {
        Backups = { actions = ["s3:GetObject", "s3:PutObject"], resources = ["${local.backups}/*"] }
        List    = { actions = ["s3:ListBucket"], resources = [local.backups] }
        Key     = local.use_key
      }
    }

    external-secrets = {
      namespace       = "external-secrets"
      service_account = "external-secrets"
      statements = {
        Read = {
          actions   = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
          resources = concat(values(module.secrets.arns), [module.database.secret_arn], module.cache[*].secret_arn)
        }
        Key = { actions = ["kms:Decrypt"], resources = [module.keys.arns["secrets"]] }
      }
    }

    cluster-autoscaler = {
      namespace       = "kube-system"
      service_account = "cluster-autoscaler"
      statements = {
        Look = {
          actions = [
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:DescribeAutoScalingInstances",
            "autoscaling:DescribeLaunchConfigurations",
            "autoscaling:DescribeScalingActivities",
            "autoscaling:DescribeTags",
            "ec2:DescribeImages",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeLaunchTemplateVersions",
            "ec2:GetInstanceTypesFromInstanceRequirements",
          ]
          resources = ["*"] # these calls have no resource
        }
        LabelsAndTaintsOfEmptyGroups = {
          actions   = ["eks:DescribeNodegroup"]
          resources = ["arn:${local.partition}:eks:*:${local.account}:nodegroup/${module.cluster.name}/*"]
        }
        Resize = {
          actions   = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
          resources = ["arn:${local.partition}:autoscaling:*:${local.account}:autoScalingGroup:*"]
          conditions = [{
            test     = "StringEquals"
            variable = "aws:ResourceTag/k8s.io/cluster-autoscaler/${module.cluster.name}"
            values   = ["owned"]
          }]
        }
      }
    }

    node-termination-handler = {
      namespace       = "kube-system"
      service_account = "aws-node-termination-handler"
      statements = {
        Hear = {
          actions   = ["sqs:DeleteMessage", "sqs:ReceiveMessage"]
          resources = [module.cluster.interruptions_queue_arn]
        }
        Key = { actions = ["kms:Decrypt"], resources = [module.keys.arns["logs"]] }
        Look = {
          actions   = ["autoscaling:DescribeAutoScalingInstances", "autoscaling:DescribeTags", "ec2:DescribeInstances"]
          resources = ["*"] # these calls have no resource
        }
      }
    }

    # Binds the ingress's pods to the target group; it makes no load balancer of its own.
    load-balancer-controller = {
      namespace       = "kube-system"
      service_account = "aws-load-balancer-controller"
      statements = {
        Bind = {
          actions   = ["elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:RegisterTargets"]
          resources = [module.edge.target_group_arn]
        }
        Look = {
          actions = [
            "ec2:DescribeAvailabilityZones",
            "ec2:DescribeInstances",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth",
          ]
          resources = ["*"] # these calls have no resource
        }
      }
    }

    ebs-csi = {
      namespace       = "kube-system"
      service_account = "ebs-csi-controller-sa"
      statements = {
        Look = {
          actions   = ["ec2:DescribeAvailabilityZones", "ec2:DescribeInstances", "ec2:DescribeSnapshots", "ec2:DescribeTags", "ec2:DescribeVolumes", "ec2:DescribeVolumesModifications"]
          resources = ["*"] # these calls have no resource
        }
        Make = {
          actions    = ["ec2:CreateVolume"]
          resources  = ["arn:${local.partition}:ec2:*:${local.account}:volume/*"]
          conditions = [{ test = "StringEquals", variable = "aws:RequestTag/ebs.csi.aws.com/cluster", values = ["true"] }]
        }
        TagWhatItMakes = {
          actions    = ["ec2:CreateTags"]
          resources  = ["arn:${local.partition}:ec2:*:${local.account}:volume/*"]
          conditions = [{ test = "StringEquals", variable = "ec2:CreateAction", values = ["CreateVolume"] }]
        }
        UseItsOwn = {
          actions    = ["ec2:AttachVolume", "ec2:DeleteVolume", "ec2:DetachVolume", "ec2:ModifyVolume"]
          resources  = ["arn:${local.partition}:ec2:*:${local.account}:volume/*"]
          conditions = [{ test = "StringEquals", variable = "ec2:ResourceTag/ebs.csi.aws.com/cluster", values = ["true"] }]
        }
        AttachToNodes = {
          actions    = ["ec2:AttachVolume", "ec2:DetachVolume"]
          resources  = ["arn:${local.partition}:ec2:*:${local.account}:instance/*"]
          conditions = [{ test = "StringEquals", variable = "ec2:ResourceTag/eks:cluster-name", values = [module.cluster.name] }]
        }
        Key = { actions = ["kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext"], resources = [module.keys.arns["disks"]] }
        Grant = {
          actions    = ["kms:CreateGrant"]
          resources  = [module.keys.arns["disks"]]
          conditions = [{ test = "Bool", variable = "kms:GrantIsForAWSResource", values = ["true"] }]
        }
      }
    }
  }
}

module "identity" {
  source = "../identity"

  name              = var.name
  oidc_provider_arn = module.cluster.oidc_provider_arn
  oidc_issuer       = module.cluster.oidc_issuer
  cluster_arn       = module.cluster.arn
  services          = local.services
  owns_account      = var.owns_account
  ci = var.ci == null ? null : {
    repository      = var.ci.repository
    subjects        = var.ci.subjects
    repository_arns = values(module.registry.arns)
  }
  cross_account = var.cross_account == null ? null : {
    account_ids = var.cross_account.account_ids
    external_id = var.cross_account.external_id
    bucket_arn  = local.models
    key_arn     = local.key
  }
}
