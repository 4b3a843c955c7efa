# Where the tasks run: Fargate and nothing else.

variable "name" {
  description = "Name of the cluster"
  type        = string
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = ["FARGATE"]
}

output "arn" {
  description = "ARN of the cluster"
  value       = aws_ecs_cluster.this.arn
}
