"""A member's rights: requests with opaque ids, and what answers them."""
