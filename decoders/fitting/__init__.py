"""Maximum likelihood: the loop, its schedule, checkpoints and validations, and how a fit is judged."""
