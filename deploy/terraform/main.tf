# A WireGuard endpoint on Fargate: no TUN, no capability, no root. `terraform apply` makes it, `terraform destroy` leaves
# nothing. Step by step: docs/guide/vpn-fargate.md.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

module "render" {
  source = "./modules/render"

  name          = local.properties.name
  environment   = var.environment
  partition     = data.aws_partition.current.partition
  region        = local.properties.region
  account       = data.aws_caller_identity.current.account_id
  image         = local.properties.image
  exposure      = local.properties.exposure
  endpoint_host = local.properties.exposure == "nlb" ? module.ecs.address : local.properties.endpoint_host
  vpn_port      = local.properties.vpn_port
  api_port      = local.properties.api_port
  proxy_port    = local.properties.proxy_port
  proxy         = local.properties.proxy
  api_allow     = local.properties.api_allow
  egress_allow  = local.properties.egress_allow
  kms_key_arn   = local.properties.kms_key_arn
  key_config    = local.key_config
  tags          = local.properties.tags
}

module "ecs_cluster" {
  source = "./modules/ecs_cluster"

  name = module.render.names.cluster
}

module "key" {
  source = "./modules/ecs_one_shot"

  names              = module.render.names
  cluster_arn        = module.ecs_cluster.arn
  region             = local.properties.region
  container          = module.render.keygen_container
  config_hash        = module.render.key_config_hash
  trust_policy       = module.render.trust_policy
  task_policy        = module.render.keygen_policy
  execution_role_arn = aws_iam_role.execution.arn
  architecture       = local.properties.architecture
  vpc_id             = local.properties.vpc_id
  subnet_ids         = local.properties.subnet_ids
}

module "ecs" {
  source = "./modules/ecs"

  names              = module.render.names
  cluster_arn        = module.ecs_cluster.arn
  container          = module.render.server_container
  ports              = module.render.ports
  trust_policy       = module.render.trust_policy
  task_policy        = module.render.server_policy
  execution_role_arn = aws_iam_role.execution.arn
  exposure           = local.properties.exposure
  architecture       = local.properties.architecture
  cpu                = local.properties.cpu
  memory             = local.properties.memory
  vpc_id             = local.properties.vpc_id
  subnet_ids         = local.properties.subnet_ids

  # The server starts with a key pair and a master key in its store.
  depends_on = [module.key, aws_ssm_parameter.master_api_key]
}

# What both tasks print. Who did what is in the server's own log of events.
resource "aws_cloudwatch_log_group" "this" {
  name              = module.render.names.log_group
  retention_in_days = local.properties.log_days
  kms_key_id        = local.properties.kms_key_arn == "" ? null : local.properties.kms_key_arn
}

# ECS itself: fetches the image and writes the log. The tasks never have this role.
resource "aws_iam_role" "execution" {
  name               = module.render.names.execution_role
  assume_role_policy = module.render.trust_policy
}

resource "aws_iam_role_policy" "execution" {
  name   = "image-and-log"
  role   = aws_iam_role.execution.id
  policy = module.render.execution_policy
}

# Made here, written only: it stands in no plan and in no state. Whoever may read the parameter is the administrator.
ephemeral "random_password" "master_api_key" {
  length  = 43
  special = false
}

resource "aws_ssm_parameter" "master_api_key" {
  name             = module.render.paths.master_api_key
  description      = "Bowline VPN: administration. Delete it with the VPN."
  type             = "SecureString"
  key_id           = local.properties.kms_key_arn == "" ? null : local.properties.kms_key_arn
  value_wo         = ephemeral.random_password.master_api_key.result
  value_wo_version = var.master_key_version
}
