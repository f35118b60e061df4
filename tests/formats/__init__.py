"""What files say about themselves."""
