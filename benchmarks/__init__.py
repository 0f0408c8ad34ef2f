"""Figures that we claim, measured: `make bench`. Never part of the tests."""
