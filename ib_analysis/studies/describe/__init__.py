"""What an experiment will cost, before anything runs."""
