"""Numbers, names and text -> words that people read."""
