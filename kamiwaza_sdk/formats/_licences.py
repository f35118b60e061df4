"""Recognises licences by what stands in their texts."""

from typing import Final

__all__ = ["recognise_licence"]

#: What a text has to contain, all of it, white space made even; the first that fits is it. The names are those of
#: https://huggingface.co/docs/hub/repositories-licenses.
_MARKS: Final = (
    ("llama2", ("Llama 2 Community License",)),
    ("llama3.1", ("Llama 3.1 Community License",)),
    ("llama3.2", ("Llama 3.2 Community License",)),
    ("llama3.3", ("Llama 3.3 Community License",)),
    ("llama4", ("Llama 4 Community License",)),
    ("llama3", ("Meta Llama 3 Community License",)),
    ("gemma", ("Gemma Terms of Use",)),
    ("bigscience-bloom-rail-1.0", ("BigScience RAIL License v1.0",)),
    ("creativeml-openrail-m", ("CreativeML Open RAIL-M",)),
    ("apache-2.0", ("Apache License", "Version 2.0, January 2004")),
    ("agpl-3.0", ("GNU Affero General Public License", "Version 3, 19 November 2007")),
    ("lgpl-3.0", ("GNU Lesser General Public License", "Version 3, 29 June 2007")),
    ("gpl-3.0", ("GNU General Public License", "Version 3, 29 June 2007")),
    ("gpl-2.0", ("GNU General Public License", "Version 2, June 1991")),
    ("mpl-2.0", ("Mozilla Public License Version 2.0",)),
    ("cc-by-nc-sa-4.0", ("Attribution-NonCommercial-ShareAlike 4.0",)),
    ("cc-by-nc-nd-4.0", ("Attribution-NonCommercial-NoDerivatives 4.0",)),
    ("cc-by-nc-4.0", ("Attribution-NonCommercial 4.0",)),
    ("cc-by-sa-4.0", ("Attribution-ShareAlike 4.0",)),
    ("cc-by-4.0", ("Attribution 4.0 International",)),
    ("cc0-1.0", ("CC0 1.0 Universal",)),
    ("bsd-3-clause", ("Redistribution and use in source and binary forms", "Neither the name of")),
    ("bsd-2-clause", ("Redistribution and use in source and binary forms",)),
    ("mit", ("Permission is hereby granted, free of charge", "without restriction")),
)
_LONGEST: Final = 100_000


def recognise_licence(text: str) -> str | None:
    """Return the name of the licence that a text is, `None` where it is none that is known."""
    even = " ".join(text[:_LONGEST].split()).lower()
    return next((name for name, marks in _MARKS if all(mark.lower() in even for mark in marks)), None)
