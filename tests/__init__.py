"""The tests; what they need runs for real, on ports and in folders of their own."""
