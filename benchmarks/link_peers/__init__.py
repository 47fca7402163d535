"""What `links.py` measures, and what it measures it on."""
