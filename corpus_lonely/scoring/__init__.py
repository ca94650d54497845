"""Posts to scores on Dask: what there is to do, how a shard is done, and a plan on a cluster."""
