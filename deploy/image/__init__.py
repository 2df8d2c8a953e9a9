"""Builds the image without a container engine, and runs both its commands, confined as in a pod."""
