"""How the bytes of a URL get here, whole and verified."""
