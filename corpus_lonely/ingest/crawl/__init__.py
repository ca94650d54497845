"""From Reddit's API to posts: listings and comment trees, page by page, with a checkpoint after each."""
