"""What is told of posts beside them, and never done to them: near-duplicates, languages."""
