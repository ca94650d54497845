"""From scores to answers over time."""
