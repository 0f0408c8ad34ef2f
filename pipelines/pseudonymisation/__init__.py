"""Gate × transforms × pseudonym → the zone of one purpose."""
