# Fixed addresses before the task, with `exposure = "nlb"`. UDP keeps its source address, so the server sees who calls.

locals {
  balanced = var.exposure == "nlb" ? local.doors : {}
}

resource "aws_eip" "this" {
  for_each = var.exposure == "nlb" ? toset(var.subnet_ids) : toset([])

  domain = "vpc"
}

resource "aws_security_group" "balancer" {
  count = var.exposure == "nlb" ? 1 : 0

  name        = "${var.names.load_balancer}-nlb"
  description = "Before the VPN server"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  for_each = { for name, entrance in local.entrances : name => entrance if var.exposure == "nlb" }

  security_group_id = aws_security_group.balancer[0].id
  description       = each.value.door
  ip_protocol       = each.value.protocol
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv4         = each.value.range
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  for_each = local.balanced

  security_group_id            = aws_security_group.balancer[0].id
  description                  = each.key
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = aws_security_group.this.id
}

resource "aws_lb" "this" {
  count = var.exposure == "nlb" ? 1 : 0

  name                             = var.names.load_balancer
  load_balancer_type               = "network"
  internal                         = false
  security_groups                  = [aws_security_group.balancer[0].id]
  enable_cross_zone_load_balancing = true

  dynamic "subnet_mapping" {
    for_each = aws_eip.this

    content {
      subnet_id     = subnet_mapping.key
      allocation_id = subnet_mapping.value.id
    }
  }
}

resource "aws_lb_target_group" "this" {
  for_each = local.balanced

  name                   = "${var.names.load_balancer}-${each.key}"
  vpc_id                 = var.vpc_id
  target_type            = "ip"
  protocol               = upper(each.value.protocol)
  port                   = each.value.port
  preserve_client_ip     = "true"
  deregistration_delay   = 5
  connection_termination = true

  # A load balancer cannot ask UDP; the API lives as long as the server does.
  health_check {
    protocol            = "TCP"
    port                = var.ports.api
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "this" {
  for_each = local.balanced

  load_balancer_arn = aws_lb.this[0].arn
  protocol          = upper(each.value.protocol)
  port              = each.value.port

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[each.key].arn
  }
}
