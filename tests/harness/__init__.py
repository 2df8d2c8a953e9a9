"""What tests drive the product with: its processes, and a client."""
