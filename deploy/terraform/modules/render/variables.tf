variable "name" {
  description = "First part of every name"
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,15}[a-z0-9]$", var.name))
    error_message = "The name is 2 to 17 lower-case letters, digits and dashes: load balancers take no more than 32 in all."
  }
}

variable "environment" {
  description = "Last part of every name"
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{0,7}$", var.environment))
    error_message = "The environment is 1 to 8 lower-case letters and digits."
  }
}

variable "partition" {
  description = "aws, aws-cn or aws-us-gov"
  type        = string
  default     = "aws"
}

variable "region" {
  description = "Region of the tasks and of the store"
  type        = string
}

variable "account" {
  description = "Account of the tasks and of the store"
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account))
    error_message = "An account is twelve digits."
  }
}

variable "image" {
  description = "Container image of Bowline"
  type        = string
}

variable "exposure" {
  description = "nlb: fixed addresses before the task; public-ip: the task's own, which changes with each start"
  type        = string
  default     = "nlb"

  validation {
    condition     = contains(["nlb", "public-ip"], var.exposure)
    error_message = "The exposure is nlb or public-ip."
  }
}

variable "endpoint_host" {
  description = "Name or address that clients are told"
  type        = string

  validation {
    condition     = var.endpoint_host != ""
    error_message = "With public-ip say under which name the task will be found: endpoint_host."
  }
}

variable "vpn_port" {
  description = "UDP port of WireGuard"
  type        = number
  default     = 51820

  validation {
    condition     = var.vpn_port >= 1024 && var.vpn_port <= 65535
    error_message = "Without capabilities a task can only use ports from 1024 to 65535."
  }
}

variable "api_port" {
  description = "TCP port of the REST API"
  type        = number
  default     = 8000

  validation {
    condition     = var.api_port >= 1024 && var.api_port <= 65535
    error_message = "Without capabilities a task can only use ports from 1024 to 65535."
  }
}

variable "proxy_port" {
  description = "TCP port of the CONNECT proxy"
  type        = number
  default     = 3128

  validation {
    condition     = var.proxy_port >= 1024 && var.proxy_port <= 65535
    error_message = "Without capabilities a task can only use ports from 1024 to 65535."
  }
}

variable "proxy" {
  description = "Whether there is a CONNECT proxy"
  type        = bool
  default     = false
}

variable "api_allow" {
  description = "Who may reach the API and the proxy"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for range in var.api_allow : can(cidrhost(range, 0))])
    error_message = "Each range is written as 203.0.113.0/24."
  }

  validation {
    condition     = !contains(var.api_allow, "0.0.0.0/0") && !contains(var.api_allow, "::/0")
    error_message = "The API is for known addresses: name them, or reach it through the VPN."
  }
}

variable "egress_allow" {
  description = "Private ranges that users may reach through the VPN"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for range in var.egress_allow : can(cidrhost(range, 0))])
    error_message = "Each range is written as 10.0.0.0/16."
  }
}

variable "kms_key_arn" {
  description = "Key of the parameters; empty for the one that SSM brings"
  type        = string
  default     = ""
}

variable "key_config" {
  description = "keygen-config.json"
  type = object({
    ssm_prefix      = string
    key_algorithm   = string
    key_purpose     = string
    regenerate_keys = bool
  })

  validation {
    condition     = can(regex("^/?[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*/?$", var.key_config.ssm_prefix))
    error_message = "The prefix is one or more names between slashes: /ephem-vpn."
  }

  validation {
    condition     = var.key_config.key_algorithm == "curve25519" && var.key_config.key_purpose == "wireguard-server"
    error_message = "There is one kind of key: curve25519, for wireguard-server."
  }
}

variable "tags" {
  description = "Further tags of everything"
  type        = map(string)
  default     = {}
}
