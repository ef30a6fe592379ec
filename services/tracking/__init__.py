"""Side subscribers that mirror jobs into other trackers, off the training path."""
