"""Jobs run by processes on this computer or by workers of a Dask cluster, and their records on disk."""
