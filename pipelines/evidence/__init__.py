"""Evidence: what was done, written down so that a later change shows. It holds counts and opaque ids, never a person."""
