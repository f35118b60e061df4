"""What goes into the registry (``Create…``, ``Update…``) and what comes out of it (``…Schema``)."""
