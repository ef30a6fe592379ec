"""The only writer of events: a decision module per aggregate, prepare steps, leases, command loop, query replies."""
