"""Objects in buckets, and files of the hub -> bytes."""
