"""What units of work run on: processes of this machine, a Ray cluster, processes that were launched together."""
