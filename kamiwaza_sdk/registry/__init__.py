"""The registry for callers without a session: `Registry` and `AsyncRegistry`, which own an engine and a store.

``operations.py`` says once, for both, which steps a call takes. `Registry` takes them in the caller's thread, and
transfers in a thread that ends with them (``threads.py``); `AsyncRegistry`, which is generated from it, takes them in
the caller's event loop (``calls.py``). ``database.py`` has the engines.
"""
