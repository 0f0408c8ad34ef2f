"""The proof that deleted data left the files: every byte that is left is read, decoded and held against what was deleted."""
