"""Formats of image files: what decides their pixels, and whether these are all there."""
