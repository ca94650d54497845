"""The command line: options in, one call of a room, and what was made as the last line."""
