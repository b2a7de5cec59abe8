"""From the artifacts of an experiment to its tables: a file per table."""
