"""A decoder's fit: what it is fed with, what guards it, and how it becomes an artifact."""
