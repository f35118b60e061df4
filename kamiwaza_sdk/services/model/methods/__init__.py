"""What `ModelService` can be asked: its documented surface, one module for each thing the registry holds."""
