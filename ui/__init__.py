"""What people use: the browser pages and the command line. Both read projections and send commands; neither writes SQL."""
