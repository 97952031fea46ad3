"""Docstrings in the three usual styles give option help, and prose without the arguments."""

from __future__ import annotations

import pytest

from sea_toolkit.registry.docstrings import argument_docs, first_line, full_doc, prose


def google(response, *, scale: float = 1.0, words: str = ""):
    """How long it is.

    Counted in tokens, and the sentence goes
    on in the next line:

        length = Σ alive

    Args:
        scale (float): nats per token,
            on two lines.
        words: which words
            count.

    Returns:
        words: not an argument.

    Raises:
        RecipeError: never.

    Source: Nobody, 2020.
    """


def numpy(response, *, scale: float = 1.0, words: str = ""):
    """How long it is.

    Counted in tokens, and the sentence goes
    on in the next line:

        length = Σ alive

    Parameters
    ----------
    scale : float, optional
        nats per token,
        on two lines.
    words : str
        which words
        count.

    Returns
    -------
    float
        The length.

    Notes
    -----
    Source: Nobody, 2020.
    """


def sphinx(response, *, scale: float = 1.0, words: str = ""):
    """How long it is.

    Counted in tokens, and the sentence goes
    on in the next line:

        length = Σ alive

    :param scale: nats per token,
        on two lines.
    :type scale: float
    :param str words: which words
        count.
    :raises RecipeError: never.
    :returns: the length.
    """


@pytest.mark.parametrize("function", [google, numpy, sphinx])
def test_the_text_of_each_argument_stands_on_one_line(function):
    assert argument_docs(function) == {"scale": "nats per token, on two lines.", "words": "which words count."}


@pytest.mark.parametrize("function", [google, numpy, sphinx])
def test_prose_has_no_arguments_and_a_paragraph_is_one_line(function):
    paragraphs = prose(function).split("\n\n")
    assert paragraphs[:3] == [
        "How long it is.",
        "Counted in tokens, and the sentence goes on in the next line:",
        "    length = Σ alive",
    ]
    assert "nats per token" not in prose(function)
    assert "never" not in prose(function)


def test_what_follows_the_sections_is_prose():
    assert prose(google).endswith("\n\nSource: Nobody, 2020.")
    assert prose(numpy).endswith("\n\nNotes: Source: Nobody, 2020.")


def test_a_classes_constructor_adds_to_its_docstring():
    class Sampler:
        """Samples.

        Attributes:
            rate: not an option.

        Args:
            chains: how many.
        """

        def __init__(self, *, chains: int = 1, steps: int = 2):
            """Made with options.

            Args:
                steps: how far.
            """

    assert argument_docs(Sampler) == {"chains": "how many.", "steps": "how far."}
    assert prose(Sampler) == "Samples.\n\nMade with options."
    assert full_doc(Sampler).startswith("Samples.\n\nAttributes:")


@pytest.mark.parametrize("doc", [None, "", "Args:", "Args:\n    nothing that fits", "Parameters\n----------", ":param"])
def test_odd_docstrings_are_read_without_complaint(doc):
    def function(response, *, scale: float = 1.0): ...

    function.__doc__ = doc
    assert set(argument_docs(function).values()) <= {"", "nothing that fits"}
    assert isinstance(prose(function), str)
    assert first_line(doc) == (doc or "").split("\n")[0]


def test_a_list_keeps_its_lines():
    def function():
        """Two steps.

        - the first,
          on two lines
        - the second
        """

    assert prose(function) == "Two steps.\n\n- the first,\n  on two lines\n- the second"
