"""All SQL of the registry: Core statements, built once. Every one names the namespace.

What is read keeps the form in which the driver delivers it, and Pydantic turns it into the types of the schemas: a
column type of SQLAlchemy's would do the same work before, value by value, in Python. What belongs to a row, such as its
tags, comes as JSON in a column of it, so that a listing is one statement, whatever its length.
"""
