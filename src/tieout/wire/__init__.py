"""Formats of others, read and written: pure functions."""
