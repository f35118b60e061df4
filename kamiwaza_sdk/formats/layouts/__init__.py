"""What a repository consists of: variants, companions and the rest, by its indexes first, then by names."""
