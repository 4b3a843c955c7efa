# What runs, as ECS wants to be told.

locals {
  # The distroless images' `nonroot`.
  user = "65532"

  common = {
    image                  = var.image
    essential              = true
    user                   = "${local.user}:${local.user}"
    privileged             = false
    readonlyRootFilesystem = true
    stopTimeout            = 30
    linuxParameters        = { capabilities = { drop = ["ALL"], add = [] }, initProcessEnabled = false }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = local.names.log_group
        "awslogs-region"        = var.region
        "awslogs-stream-prefix" = "bowline"
        "mode"                  = "non-blocking"
        "max-buffer-size"       = "4m"
      }
    }
  }

  serve = concat(
    ["vpn", "serve", "--listen", "0.0.0.0:${var.vpn_port}", "--endpoint", "${var.endpoint_host}:${var.vpn_port}"],
    ["--store", "ssm:${local.paths.prefix}", "--api", "0.0.0.0:${var.api_port}"],
    var.proxy ? ["--proxy", "0.0.0.0:${var.proxy_port}"] : ["--no-proxy"],
    flatten([for range in var.egress_allow : ["--egress-allow", range]]),
  )

  server = merge(local.common, {
    name    = "vpn"
    command = local.serve
    environment = [
      { name = "AWS_REGION", value = var.region },
      { name = "SSM_PREFIX", value = local.paths.prefix },
      { name = "VPN_PROXY_HOST", value = var.endpoint_host },
      { name = "VPN_PROXY_PORT", value = tostring(var.proxy_port) },
    ]
    portMappings = concat(
      [
        { containerPort = var.vpn_port, hostPort = var.vpn_port, protocol = "udp" },
        { containerPort = var.api_port, hostPort = var.api_port, protocol = "tcp" },
      ],
      var.proxy ? [{ containerPort = var.proxy_port, hostPort = var.proxy_port, protocol = "tcp" }] : [],
    )
    # A user's flow is a descriptor or two.
    ulimits = [{ name = "nofile", softLimit = 65535, hardLimit = 65535 }]
    # Lets this one group send ICMP echo through datagram sockets: a ping through the tunnel needs no capability.
    systemControls = [{ namespace = "net.ipv4.ping_group_range", value = "${local.user} ${local.user}" }]
  })

  keygen = merge(local.common, {
    name    = "keygen"
    command = ["vpn", "keygen", "--store", "ssm:${local.paths.prefix}"]
    environment = [
      { name = "AWS_REGION", value = var.region },
      { name = "KEYGEN_CONFIG", value = jsonencode(var.key_config) },
    ]
  })
}

output "server_container" {
  description = "Container definition of the server, as JSON"
  value       = jsonencode(local.server)
}

output "keygen_container" {
  description = "Container definition of the key task, as JSON"
  value       = jsonencode(local.keygen)
}

output "key_config_hash" {
  description = "SHA-256 of the key configuration: another one runs the key task again"
  value       = sha256(jsonencode(var.key_config))
}
