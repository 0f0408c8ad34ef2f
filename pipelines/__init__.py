"""Kampeky's data platform: what the privacy policy promises, done and shown."""

__version__ = "0.1.0"
