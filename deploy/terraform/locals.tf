# Everything that differs between environments stands in properties.ENVIRONMENT.json, and what the key pair should be
# in keygen-config.json. Nothing secret stands in either.
locals {
  properties = jsondecode(file("${path.module}/properties.${var.environment}.json"))
  key_config = jsondecode(file("${path.module}/keygen-config.json"))
}
