"""What an auditor asks on the machine of the line itself, of the logs and of nothing else."""
