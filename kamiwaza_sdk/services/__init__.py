"""The services, one package each: `model`, `hub`, `download`, `storage`."""
