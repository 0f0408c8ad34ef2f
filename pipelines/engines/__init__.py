"""Where SQL meets a machine: DuckDB, and the only room that imports it."""
