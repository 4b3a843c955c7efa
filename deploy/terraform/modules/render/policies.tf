# Who may do what, as IAM documents. The server's is that of `bowline policy vpn`.

locals {
  parameters = "arn:${var.partition}:ssm:${var.region}:${var.account}:parameter"
  log_group  = "arn:${var.partition}:logs:${var.region}:${var.account}:log-group:${local.names.log_group}"
  any_key    = "arn:${var.partition}:kms:${var.region}:${var.account}:key/*"

  read = {
    Sid      = "ReadTheStore"
    Effect   = "Allow"
    Action   = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]
    Resource = ["${local.parameters}${local.paths.prefix}", "${local.parameters}${local.paths.prefix}/*"]
  }

  # Only by way of SSM, and only for values below the prefix.
  keys = {
    Sid      = "SealAndOpenItsValues"
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
    Resource = [var.kms_key_arn == "" ? local.any_key : var.kms_key_arn]
    Condition = {
      StringEquals = { "kms:ViaService" = "ssm.${var.region}.amazonaws.com" }
      StringLike   = { "kms:EncryptionContext:PARAMETER_ARN" = ["${local.parameters}${local.paths.prefix}/*"] }
    }
  }

  write = {
    for who, folders in {
      server = ["users/*", "invitations/*", "wg/*", "api/*", "changes"]
      keygen = ["wg/*", "changes"]
      } : who => {
      Sid      = "ChangeItsPart"
      Effect   = "Allow"
      Action   = ["ssm:DeleteParameter", "ssm:DeleteParameters", "ssm:PutParameter"]
      Resource = [for folder in folders : "${local.parameters}${local.paths.prefix}/${folder}"]
    }
  }

  policies = {
    for who, write in local.write : who => {
      Version   = "2012-10-17"
      Statement = [local.read, write, local.keys]
    }
  }
}

output "server_policy" {
  description = "All that the running server may do"
  value       = jsonencode(local.policies.server)
}

output "keygen_policy" {
  description = "All that the key task may do"
  value       = jsonencode(local.policies.keygen)
}

output "execution_policy" {
  description = "What ECS itself needs: the image, and to write the log"
  value = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "FetchTheImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = ["arn:${var.partition}:ecr:${var.region}:${var.account}:repository/*"]
      },
      {
        # This call knows no resource.
        Sid      = "SignInToTheRegistry"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
      {
        Sid      = "WriteTheLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${local.log_group}:*"]
      },
    ]
  })
}

output "trust_policy" {
  description = "ECS tasks of this account and region may become the roles, nobody else"
  value = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.account }
        ArnLike      = { "aws:SourceArn" = "arn:${var.partition}:ecs:${var.region}:${var.account}:*" }
      }
    }]
  })
}
