"""Readers, one module per on-disk layout: folder in, `Listing` out. They read indexes and labels, never pixels."""
