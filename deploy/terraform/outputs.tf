output "endpoint" {
  description = "What clients are told: HOST:PORT of WireGuard"
  value       = module.render.endpoint
}

output "api" {
  description = "For `bowline vpn setup`"
  value       = module.render.api
}

output "master_key_command" {
  description = "Prints the master key to who may read it"
  value       = "aws ssm get-parameter --with-decryption --name ${module.render.paths.master_api_key} --query Parameter.Value --output text"
}

output "server_policy" {
  description = "All that the running server may do"
  value       = module.render.server_policy
}
