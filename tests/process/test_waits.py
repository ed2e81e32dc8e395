"""Joins, timers, children, cancelling and recalls, on every database."""
