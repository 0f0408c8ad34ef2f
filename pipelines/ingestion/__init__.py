"""From a file to the raw zone: read, check every row, land once and whole, and write the balance down."""
