"""From posts and a model to scores, in shards on a Dask cluster."""
