"""One-machine mode: the embedded nats-server and every service as processes under one supervisor; it imports none."""
