"""Keys: one per store and per pseudonym domain, each in a file of its own."""
