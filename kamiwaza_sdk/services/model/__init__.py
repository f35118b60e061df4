"""Which models exist, in which versions, made of which files."""
