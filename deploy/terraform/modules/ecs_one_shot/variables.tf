variable "names" {
  description = "Of the render module"
  type        = map(string)
}

variable "cluster_arn" {
  description = "Where it runs"
  type        = string
}

variable "region" {
  description = "Region of the cluster"
  type        = string
}

variable "container" {
  description = "Container definition, as JSON"
  type        = string
}

variable "config_hash" {
  description = "Another one runs the task again"
  type        = string
}

variable "trust_policy" {
  description = "Who may become the task's role, as JSON"
  type        = string
}

variable "task_policy" {
  description = "What the task may do, as JSON"
  type        = string
}

variable "execution_role_arn" {
  description = "With which ECS fetches the image and writes the log"
  type        = string
}

variable "architecture" {
  description = "X86_64 or ARM64"
  type        = string
}

variable "vpc_id" {
  description = "Network of the task"
  type        = string
}

variable "subnet_ids" {
  description = "Subnets with a way to the internet"
  type        = list(string)
}
