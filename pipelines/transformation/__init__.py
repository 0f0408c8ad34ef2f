"""Run dbt over one purpose, and publish what it built."""
