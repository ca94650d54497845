"""The whole on synthetic data, through the same functions as the commands."""
