output "backup_vault" {
  description = "Vault of the snapshots."
  value       = aws_backup_vault.this.name
}

output "schedules" {
  description = "Names of the schedules for the night."
  value       = sort([for schedule in aws_scheduler_schedule.nights : schedule.name])
}
