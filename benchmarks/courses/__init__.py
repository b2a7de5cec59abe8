"""What two kinds of decoders had found when, as `readers.py` measures it: courses, their tables and their figure."""
