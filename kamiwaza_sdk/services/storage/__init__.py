"""Where the bytes are kept, and whether they are still right."""
