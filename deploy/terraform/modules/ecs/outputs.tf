output "address" {
  description = "Name of the load balancer; empty where there is none"
  value       = one(aws_lb.this[*].dns_name) == null ? "" : one(aws_lb.this[*].dns_name)
}
