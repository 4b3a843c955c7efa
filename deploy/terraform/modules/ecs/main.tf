# The server: one task for one key pair. Two tasks with the same key would take each other's sessions, so the old one
# ends before the new one starts.

resource "aws_iam_role" "task" {
  name               = var.names.server_role
  assume_role_policy = var.trust_policy
}

resource "aws_iam_role_policy" "task" {
  name   = "store"
  role   = aws_iam_role.task.id
  policy = var.task_policy
}

resource "aws_ecs_task_definition" "this" {
  family                   = var.names.service
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = var.execution_role_arn
  container_definitions    = "[${var.container}]"

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }
}

resource "aws_ecs_service" "this" {
  name                               = var.names.service
  cluster                            = var.cluster_arn
  task_definition                    = aws_ecs_task_definition.this.arn
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  desired_count                      = 1
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  propagate_tags                     = "SERVICE"

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.this.id]
    assign_public_ip = true
  }

  dynamic "load_balancer" {
    for_each = aws_lb_target_group.this

    content {
      target_group_arn = load_balancer.value.arn
      container_name   = "vpn"
      container_port   = load_balancer.value.port
    }
  }

  depends_on = [aws_iam_role_policy.task, aws_lb_listener.this]
}
