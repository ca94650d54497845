"""Texts to distributions on one device; no Dask here."""
