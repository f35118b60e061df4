"""What registries and a store have to say to each other: what is referred to, what is missing, what may go."""
