"""The README against the code."""
