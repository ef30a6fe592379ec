"""What the pages of jobs are made of: the list, and one job's head, figures, actions and tabs."""
