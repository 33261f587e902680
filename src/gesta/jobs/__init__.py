"""Many pieces of work: processes on this computer or workers of a Dask cluster, with what they leave on disk."""
