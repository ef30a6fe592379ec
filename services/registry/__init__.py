"""The only writer of events: one decision module per aggregate, prepare steps, leases, the command loop and query replies."""
