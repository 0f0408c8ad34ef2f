"""Checks compiled from contracts: every row by DuckDB, a seeded sample again by Great Expectations."""
