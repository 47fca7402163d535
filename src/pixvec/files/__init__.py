"""Files that pixvec makes up names for, and files that strangers wrote: opened without a trap."""
