"""Bytes of an image file -> pixels as the model takes them: decoding, preprocessing, and the processes that do it."""
