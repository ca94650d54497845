"""From raw dumps to posts: clean, typed, partitioned Parquet with every drop counted."""
