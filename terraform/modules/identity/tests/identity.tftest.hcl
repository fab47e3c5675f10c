mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name              = "modelserve-test"
  oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/1"
  oidc_issuer       = "oidc.eks.eu-central-1.amazonaws.com/id/1"
  cluster_arn       = "arn:aws:eks:eu-central-1:123456789012:cluster/modelserve-test"
  services = {
    reader = {
      namespace       = "modelserve"
      service_account = "reader"
      statements      = { Read = { actions = ["s3:GetObject"], resources = ["arn:aws:s3:::models/*"] } }
    }
  }
}

run "defaults" {
  command = plan

  assert {
    condition = anytrue([for condition in data.aws_iam_policy_document.service_trust["reader"].statement[0].condition :
      condition.variable == "oidc.eks.eu-central-1.amazonaws.com/id/1:sub" && contains(condition.values, "system:serviceaccount:modelserve:reader") && condition.test == "StringEquals"
    ])
    error_message = "One service account, by its whole name."
  }

  assert {
    condition     = anytrue([for condition in data.aws_iam_policy_document.administrators_trust.statement[0].condition : condition.variable == "aws:MultiFactorAuthPresent"])
    error_message = "Administrators show a second factor."
  }

  assert {
    condition     = length(aws_iam_role.ci) == 0 && length(aws_iam_role.accounts) == 0
    error_message = "CI and other accounts only when asked for."
  }
}

run "ci_and_another_account" {
  command = plan

  variables {
    ci            = { repository = "acme/models", subjects = ["environment:prod"], repository_arns = ["arn:aws:ecr:eu-central-1:123456789012:repository/x"] }
    cross_account = { account_ids = ["210987654321"], external_id = "0123456789abcdef", bucket_arn = "arn:aws:s3:::models", key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1" }
  }

  assert {
    condition = anytrue([for condition in data.aws_iam_policy_document.ci_trust[0].statement[0].condition :
      condition.test == "StringEquals" && contains(condition.values, "repo:acme/models:environment:prod")
    ])
    error_message = "One repository and one environment."
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 1 && length(data.aws_iam_openid_connect_provider.github) == 0
    error_message = "The account's owner makes the provider."
  }

  assert {
    condition     = anytrue([for condition in data.aws_iam_policy_document.accounts_trust[0].statement[0].condition : condition.variable == "sts:ExternalId"])
    error_message = "Other accounts know a secret word."
  }
}

run "ci_in_an_account_that_another_environment_owns" {
  command = plan

  variables {
    owns_account = false
    ci           = { repository = "acme/models", subjects = ["environment:dev"], repository_arns = ["arn:aws:ecr:eu-central-1:123456789012:repository/x"] }
  }

  override_data {
    target = data.aws_iam_openid_connect_provider.github[0]
    values = { arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0
    error_message = "An account has one provider for a URL."
  }

  assert {
    condition     = one(data.aws_iam_policy_document.ci_trust[0].statement[0].principals).identifiers == toset(["arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"])
    error_message = "CI is trusted by the provider that is there."
  }
}

run "any_branch_is_refused" {
  command = plan

  variables {
    ci = { repository = "acme/models", subjects = ["ref:refs/heads/*"], repository_arns = [] }
  }

  expect_failures = [var.ci]
}

run "every_action_is_refused" {
  command = plan

  variables {
    services = { x = { namespace = "a", service_account = "b", statements = { All = { actions = ["*"], resources = ["arn:aws:s3:::models"] } } } }
  }

  expect_failures = [var.services]
}

run "wildcards_on_both_sides_are_refused" {
  command = plan

  variables {
    services = { x = { namespace = "a", service_account = "b", statements = { S3 = { actions = ["s3:*"], resources = ["*"] } } } }
  }

  expect_failures = [var.services]
}

run "a_short_external_id_is_refused" {
  command = plan

  variables {
    cross_account = { account_ids = ["210987654321"], external_id = "x", bucket_arn = "arn:aws:s3:::models", key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1" }
  }

  expect_failures = [var.cross_account]
}
