"""What is in deploy/: rendered, checked, and as far as possible run."""
