"""What every room stands on: errors, the home and its files, locks, dates."""
