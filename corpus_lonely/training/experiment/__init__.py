"""Systems x seeds: the paper's experiment and better ones, from one file of settings."""
