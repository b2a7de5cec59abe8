"""Networks of signs: binary weights and activations, and their execution on packed bits."""
