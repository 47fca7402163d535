"""Cells -> rows: fetch, decode, embed, with what all calls share on the way."""
