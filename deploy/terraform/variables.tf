variable "environment" {
  description = "Which properties.ENVIRONMENT.json is meant, and the last part of every name"
  type        = string
  default     = "dev"
}

variable "master_key_version" {
  description = "Raise it to have a new master key written into the store; the old one ends at once"
  type        = number
  default     = 1
}
