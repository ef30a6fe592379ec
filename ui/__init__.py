"""What people use: the browser pages and the command line. Both send commands and read projections, no more."""
