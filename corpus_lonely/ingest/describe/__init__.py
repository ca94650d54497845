"""What a posts folder is: what it covers, where it has gaps, and whether it is whole."""
