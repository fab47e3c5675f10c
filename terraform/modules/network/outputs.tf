output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "cidr" {
  description = "Its address range."
  value       = aws_vpc.this.cidr_block
}

output "private_subnet_ids" {
  description = "Subnets for nodes, in the order of the zones."
  value       = [for zone in var.zones : aws_subnet.private[zone].id]
}

output "public_subnet_ids" {
  description = "Subnets for the load balancer, in the order of the zones."
  value       = [for zone in var.zones : aws_subnet.public[zone].id]
}

output "database_subnet_ids" {
  description = "Subnets for databases, in the order of the zones."
  value       = [for zone in var.zones : aws_subnet.database[zone].id]
}

output "nat_addresses" {
  description = "Public addresses from which the cluster calls out."
  value       = [for address in aws_eip.nat : address.public_ip]
}
