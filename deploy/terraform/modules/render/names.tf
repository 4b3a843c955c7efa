# Names and tags, from the first part to the last.

locals {
  full = "${var.name}-${var.environment}"

  names = {
    cluster        = local.full
    service        = local.full
    keygen         = "${local.full}-keygen"
    server_role    = "${local.full}-${var.region}-server"
    keygen_role    = "${local.full}-${var.region}-keygen"
    execution_role = "${local.full}-${var.region}-execution"
    log_group      = "/ecs/${local.full}"
    load_balancer  = local.full
  }

  tags = merge(var.tags, {
    application = var.name
    environment = var.environment
    managed-by  = "terraform"
  })

  prefix = "/${trim(var.key_config.ssm_prefix, "/")}"

  paths = {
    prefix         = local.prefix
    master_api_key = "${local.prefix}/master-api-key"
  }

  ports = {
    vpn   = var.vpn_port
    api   = var.api_port
    proxy = var.proxy ? var.proxy_port : null
    allow = var.api_allow
  }
}

output "names" {
  description = "What everything is called"
  value       = local.names
}

output "tags" {
  description = "Tags of everything"
  value       = local.tags
}

output "paths" {
  description = "Paths in SSM Parameter Store"
  value       = local.paths
}

output "ports" {
  description = "Ports, and who may reach those of TCP; no proxy: null"
  value       = local.ports
}

output "endpoint" {
  description = "What clients are told"
  value       = "${var.endpoint_host}:${var.vpn_port}"
}

output "api" {
  description = "Address of the REST API"
  value       = "https://${var.endpoint_host}:${var.api_port}"
}
