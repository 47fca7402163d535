"""Programs for those who work on pixvec."""
