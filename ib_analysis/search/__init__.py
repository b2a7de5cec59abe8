"""Search of architectures for several objectives at once: problems, evaluators, methods, quality of what is found."""
