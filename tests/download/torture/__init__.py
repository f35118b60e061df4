"""Downloads that are killed, damaged, crowded and numerous.

How often is up to ``KAMIWAZA_TEST_KILLS``: 20 times, half of them over each server, unless told otherwise; 200 times in
``nox -s torture``.
"""
