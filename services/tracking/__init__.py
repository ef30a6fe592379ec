"""Side subscribers that mirror jobs elsewhere. Nothing waits for them, and their targets being away fails nothing."""
