"""What a model keeps of the tokens it has seen, as its configuration or its GGUF header tells."""
