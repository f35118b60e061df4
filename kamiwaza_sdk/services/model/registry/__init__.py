"""What `ModelService` does, as functions over a `Scope`, one module for each thing the registry holds."""
