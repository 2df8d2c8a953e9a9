"""Client libraries as their users have them: from the registry, unchanged."""
