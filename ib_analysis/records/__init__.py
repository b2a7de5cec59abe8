"""The artifacts of an experiment: where each lies, what it is made from, and how it is read."""
