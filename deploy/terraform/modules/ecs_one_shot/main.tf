# A task that runs once for each key configuration, and of which nothing stays running.

resource "aws_iam_role" "task" {
  name               = var.names.keygen_role
  assume_role_policy = var.trust_policy
}

resource "aws_iam_role_policy" "task" {
  name   = "store"
  role   = aws_iam_role.task.id
  policy = var.task_policy
}

resource "aws_security_group" "this" {
  name        = var.names.keygen
  description = "The key task talks to AWS and to nobody else"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.this.id
  description       = "SSM, the registry and the log"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_ecs_task_definition" "this" {
  family                   = var.names.keygen
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = var.execution_role_arn
  container_definitions    = "[${var.container}]"

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }
}

# Holds the network settings in one place; its desired count stays 0, so that no task is started for it.
resource "aws_ecs_service" "this" {
  name            = var.names.keygen
  cluster         = var.cluster_arn
  task_definition = aws_ecs_task_definition.this.arn
  launch_type     = "FARGATE"
  desired_count   = 0

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.this.id]
    assign_public_ip = true
  }
}

# Runs the task where the SHA-256 of the key configuration is new, and waits for its end. `bowline vpn keygen` changes
# nothing when it is run twice. Needs the AWS CLI beside Terraform.
resource "terraform_data" "run" {
  triggers_replace = [var.config_hash]

  provisioner "local-exec" {
    command     = "${path.module}/run-task.sh"
    interpreter = ["/bin/sh"]

    environment = {
      AWS_REGION      = var.region
      CLUSTER         = var.cluster_arn
      TASK_DEFINITION = aws_ecs_task_definition.this.arn
      NETWORK = jsonencode({
        awsvpcConfiguration = {
          subnets        = var.subnet_ids
          securityGroups = [aws_security_group.this.id]
          assignPublicIp = "ENABLED"
        }
      })
    }
  }

  depends_on = [aws_ecs_service.this, aws_iam_role_policy.task, aws_vpc_security_group_egress_rule.https]
}
