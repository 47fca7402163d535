"""Threads, event loops, processor cores and forks, for work of any kind."""
