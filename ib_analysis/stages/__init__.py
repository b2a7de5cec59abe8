"""The stages: each reads artifacts of the stages before it and writes its own; nothing else passes between them."""
