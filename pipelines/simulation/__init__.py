"""A French second-hand marketplace, generated: the same arguments give the same bytes."""
