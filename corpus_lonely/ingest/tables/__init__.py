"""Any table of posts into the same folder, by the same rules as dumps: CSV, JSON lines, Parquet, ConvoKit."""
