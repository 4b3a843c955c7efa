# Who reaches the task, and what it reaches: WireGuard answers nobody without a key, so everybody may knock there; the API
# and the proxy are for named ranges.

locals {
  doors = merge(
    { vpn = { port = var.ports.vpn, protocol = "udp", from = ["0.0.0.0/0"] } },
    { api = { port = var.ports.api, protocol = "tcp", from = var.ports.allow } },
    var.ports.proxy == null ? {} : {
      proxy = { port = var.ports.proxy, protocol = "tcp", from = var.ports.allow }
    },
  )

  entrances = merge([
    for name, door in local.doors : {
      for range in door.from : "${name} ${range}" => { door = name, port = door.port, protocol = door.protocol, range = range }
    }
  ]...)
}

resource "aws_security_group" "this" {
  name        = var.names.service
  description = "The VPN server"
  vpc_id      = var.vpc_id
}

# Behind the load balancer only from there; client addresses were checked at its door.
resource "aws_vpc_security_group_ingress_rule" "balanced" {
  for_each = local.balanced

  security_group_id            = aws_security_group.this.id
  description                  = each.key
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = aws_security_group.balancer[0].id
}

resource "aws_vpc_security_group_ingress_rule" "direct" {
  for_each = { for name, entrance in local.entrances : name => entrance if var.exposure == "public-ip" }

  security_group_id = aws_security_group.this.id
  description       = each.value.door
  ip_protocol       = each.value.protocol
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv4         = each.value.range
}

# What users reach is the policy of the server itself (`--egress-allow`), address by address.
resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.this.id
  description       = "what users want to reach"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}
