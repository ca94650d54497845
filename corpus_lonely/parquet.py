"""Parquet files, opened so that damage to a page is seen and not taken for data."""

from typing import Any

import pyarrow.parquet as pq


def open_parquet(source: Any, **options: Any) -> pq.ParquetFile:
    """A Parquet file whose pages are compared with their checksums as they are read, where they have some.

    source, options: see `pyarrow.parquet.ParquetFile`, and what it raises.
    """
    return pq.ParquetFile(source, page_checksum_verification=True, **options)
