"""A JSON Schema that judges every answer: within a limit of time, and tried on small values before a run begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.util.limited import SECONDS, Deadline, Pattern
from sea_toolkit.util.version import install_hint

SAMPLES: tuple[Any, ...] = (None, True, 0, "", "text", [], [0], {}, {"a": 0})
"""What a schema is tried on: one of these goes through every reference that leads back to itself."""

DEEPEST = 100
"""Keywords within keywords. Python's own limit must not be reached: a part of jsonschema panics there."""

Keyword = Callable[[Any, Any, Any, Any], Any]
"""`keyword(validator, value, instance, schema)`: the violations of one keyword, as jsonschema calls it."""


class CannotJudge(Exception):
    """An instance that the schema cannot judge: too deep, too large, or not in time."""


class Validator:
    """A checked schema.

    Args:
        schema: a JSON Schema; nothing is fetched for its references.

    Raises:
        RecipeError: it is none, refers to what is not in it or in a circle, or takes too long for a small value.
        SeaError: the package jsonschema is not installed.
    """

    def __init__(self, schema: Any) -> None:
        try:
            import jsonschema
            from referencing import Registry
        except ImportError as error:
            raise SeaError(
                "the energy json-schema needs the package jsonschema, which is not installed",
                hint=install_hint("json"),
            ) from error
        kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(schema)
        except jsonschema.SchemaError as error:
            place = "/".join(map(str, error.absolute_path))
            raise _wrong(f"{f' at {place}' if place else ''}: {error.message}") from error
        except RecursionError as error:
            raise _wrong(": it is nested too deep") from error
        self._deadline, self._depth, self._patterns = Deadline(), 0, dict[str, Pattern]()
        # without "$schema", by which jsonschema would go on with keywords of its own, which have no limit
        plain = (
            {key: value for key, value in schema.items() if key != "$schema"} if isinstance(schema, dict) else schema
        )
        limited = jsonschema.validators.extend(kind, self._keywords(kind.VALIDATORS))
        # an empty registry: nothing is fetched for a "$ref"
        self._validator = limited(plain, registry=Registry())
        self._try(kind, plain)

    def violations(self, value: Any) -> int:
        """How often a value violates the schema.

        Raises:
            CannotJudge: that cannot be said.
        """
        try:
            return self._count(self._validator, value)
        except Exception as error:  # whatever it is, an answer does not end a run
            raise CannotJudge from error

    def _count(self, validator: Any, value: Any) -> int:
        self._deadline.start()
        self._depth = 0
        return sum(1 for _ in validator.iter_errors(value))

    def _try(self, kind: Any, schema: Any) -> None:
        """Judge small values by every part of the schema."""
        from referencing.exceptions import Unresolvable
        from referencing.jsonschema import specification_with

        specification = specification_with(kind.ID_OF(kind.META_SCHEMA))
        for part in _parts(specification.create_resource(schema)):
            for value in SAMPLES:
                try:
                    self._count(self._validator.evolve(schema=part), value)
                except Unresolvable as error:
                    raise RecipeError(
                        f"the schema refers to {error.ref!r}, which is not in it",
                        expected="a schema that stands by itself: nothing is fetched",
                    ) from error
                except RecursionError as error:
                    raise RecipeError(
                        "the schema refers to itself in a circle: no value would ever be judged",
                        expected="references that go on inside the value, such as those of items",
                    ) from error
                except TimeoutError as error:
                    raise RecipeError(
                        f"the schema takes more than {SECONDS:g} s for {value!r}", expected="a simpler schema"
                    ) from error

    def _keywords(self, plain: Mapping[str, Keyword]) -> dict[str, Keyword]:
        """All keywords, each looking at the time; those that search patterns by a search with a limit."""
        own = {"pattern": self._pattern, "patternProperties": self._pattern_properties}
        own["additionalProperties"] = self._additional_properties
        return {name: self._limited(own.get(name, keyword)) for name, keyword in plain.items()}

    def _limited(self, keyword: Keyword) -> Keyword:
        def judge(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
            self._deadline.check()
            if self._depth == DEEPEST:
                raise RecursionError
            self._depth += 1
            try:
                yield from keyword(validator, value, instance, schema) or ()
            finally:
                self._depth -= 1

        return judge

    def _found(self, pattern: str, text: str) -> bool:
        if pattern not in self._patterns:
            try:
                self._patterns[pattern] = Pattern(pattern)
            except ValueError as error:
                raise _wrong(f": the pattern {pattern!r} is no regular expression: {error}") from error
        return self._patterns[pattern].search(text)

    def _pattern(self, validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
        if validator.is_type(instance, "string") and not self._found(pattern, instance):
            yield _violation(f"does not match {pattern!r}")

    def _pattern_properties(self, validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if validator.is_type(instance, "object"):
            for pattern, part in patterns.items():
                for name, value in instance.items():
                    if self._found(pattern, name):
                        yield from validator.descend(value, part, path=name, schema_path=pattern)

    def _additional_properties(self, validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if not validator.is_type(instance, "object"):
            return
        patterns, named = schema.get("patternProperties", {}), schema.get("properties", {})
        extra = [n for n in instance if n not in named and not any(self._found(p, n) for p in patterns)]
        if validator.is_type(allowed, "object"):
            for name in extra:
                yield from validator.descend(instance[name], allowed, path=name)
        elif not allowed and extra:
            yield _violation(f"has properties that are not allowed: {extra}")


def _violation(message: str) -> Any:
    import jsonschema

    return jsonschema.ValidationError(message)


def _wrong(what: str) -> RecipeError:
    return RecipeError(f"the schema is wrong{what}", expected="a JSON Schema")


def _parts(resource: Any) -> Iterator[Any]:
    """A schema and all schemas in it.

    Raises:
        RecipeError: two keywords that cannot be judged within a limit together.
    """
    schema, waiting = resource.contents, [resource]
    unevaluated = patterned = False
    while waiting:
        part = waiting.pop()
        waiting += part.subresources()
        if isinstance(part.contents, dict):
            unevaluated |= "unevaluatedProperties" in part.contents
            patterned |= "patternProperties" in part.contents
        yield part.contents
    if unevaluated and patterned:
        raise RecipeError(
            f"the schema has patternProperties and unevaluatedProperties ({len(str(schema))} characters)",
            expected="additionalProperties, or no patterns: how long the two take together has no limit",
        )
