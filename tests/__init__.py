"""The tests of `kamiwaza_sdk`."""
