"""The ways from URLs to vectors that `end_to_end.py` measures, and what they are measured with."""
