"""The messaging process of a worker: claim a job, supervise one child process, report. Shared by trainer and evaluator.

It imports neither torch nor SQL: whatever is heavy happens in the child, whatever is decided in the registry.
"""
