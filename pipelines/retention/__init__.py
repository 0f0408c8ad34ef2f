"""Retention: a pure plan of what is due, applied once, physically."""
