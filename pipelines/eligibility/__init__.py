"""The gate: who and what may enter a purpose, and why not."""
