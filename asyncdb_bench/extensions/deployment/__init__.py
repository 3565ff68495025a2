"""What a variant takes to deploy: parts, packages, cold start, and what breaks when a part dies."""
