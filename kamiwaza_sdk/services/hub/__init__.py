"""Sources of models: their files, plans, policies, and fetching into the store."""
