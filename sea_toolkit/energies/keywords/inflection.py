"""Inflected forms of English words, from the dictionary and the rules of the package lemminflect."""

from __future__ import annotations

from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.util.version import install_hint

_PARTS_OF_SPEECH = ("NOUN", "VERB", "AUX")


def dictionary() -> Any:
    """The package lemminflect.

    Raises:
        RecipeError: it is not installed.
    """
    try:
        import lemminflect
    except ImportError as error:
        raise RecipeError(
            "keywords is to inflect its words, and the package lemminflect is not installed",
            expected='inflect = false, with the spellings written out: "mouse|mice"',
            hint=install_hint("inflection"),
        ) from error
    return lemminflect


def inflections(word: str) -> list[str]:
    """The word and its plural, third person, past and -ing forms, in lower case.

    A word that is in no dictionary is inflected by rule; one with other than the letters a to z is left as it is.

    Raises:
        RecipeError: lemminflect is not installed.
    """
    base = word.lower()
    if not (base.isascii() and base.isalpha()):
        return [base]
    source = dictionary()
    by_part = [source.getAllInflections(base, upos=part) for part in _PARTS_OF_SPEECH]
    if not any(by_part):
        by_part = [source.getAllInflectionsOOV(base, upos=part) for part in ("NOUN", "VERB")]
    forms = [form.lower() for by_tag in by_part for tagged in by_tag.values() for form in tagged]
    return list(dict.fromkeys([base, *forms]))
