"""Search methods side by side, on a table whose exact fronts are known."""
