"""The command ``kamiwaza``: thin over `Registry`. The library never imports it.

``parser.py`` has the table of commands, and imports nothing that takes long, so that ``--help`` and completion are
quick. ``commands.py`` has what each does, and ``doctor.py`` what is wrong.
"""
