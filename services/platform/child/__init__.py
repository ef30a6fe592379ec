"""What a training and an evaluation child share: job and result files, the telemetry spool, the lifeline, failures.

Nothing here imports torch; where it is loaded already, it is found in `sys.modules`.
"""
