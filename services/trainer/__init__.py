"""Fine-tuning workers: claim a job, supervise one child process, report. Only the child imports torch."""
