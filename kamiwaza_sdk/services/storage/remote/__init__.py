"""Stores that several machines share, and read-only tiers: where blobs are looked for before the network is asked."""
