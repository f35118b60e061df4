"""What `fetch` returns."""
