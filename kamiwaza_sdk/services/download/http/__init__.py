"""HTTP: the client, its hosts and proxies, requests and responses."""
