"""What a source consists of, and fetching it into the store."""
