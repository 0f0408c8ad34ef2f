"""Readers: a file of any known form becomes a table of texts with line numbers, and what cannot be read says why."""
