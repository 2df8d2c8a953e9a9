"""What runs the product: locks, images, manifests, and `deploy.local` for one machine."""
