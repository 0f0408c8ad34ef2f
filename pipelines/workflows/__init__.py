"""One function per command and per Airflow task: it opens nothing itself and decides nothing; it calls the rooms in order."""
