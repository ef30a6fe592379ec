"""The parts of the page Train: its fields, the command they come to, what it would need, and how it is spelt."""
