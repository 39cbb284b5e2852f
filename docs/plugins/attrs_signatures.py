"""For the reference: gives attrs classes that users construct the signature that attrs gives them at run time.

The reference is made from the source without importing it. A class whose docstring has an `Args:` section is one that
users construct; one with `Attributes:` only is a value that they are handed, and shows no signature.
"""

from __future__ import annotations

from typing import Any

import griffe

_DECORATORS = ("attrs.frozen", "attrs.define")


class AttrsSignatures(griffe.Extension):
    """Adds `__init__` to attrs classes."""

    def on_class(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        """Called for each class once its members are known."""
        decorator = next((str(one.value) for one in cls.decorators if str(one.value).startswith(_DECORATORS)), None)
        if decorator is None or cls.docstring is None or "Args:" not in cls.docstring.value:
            return
        all_by_name = "kw_only=True" in decorator
        fields = [member for member in cls.members.values() if isinstance(member, griffe.Attribute)]
        parameters = [_parameter(field, all_by_name) for field in fields if _is_parameter(field)]
        this = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
        cls.set_member("__init__", griffe.Function("__init__", parameters=griffe.Parameters(this, *parameters)))


def _settings(field: griffe.Attribute) -> dict[str, Any] | None:
    """The arguments of `attrs.field(...)`; None if the attribute has another value, or none."""
    value = field.value
    if not isinstance(value, griffe.ExprCall) or str(value.function) != "attrs.field":
        return None
    return {one.name: one.value for one in value.arguments if isinstance(one, griffe.ExprKeyword)}


def _is_parameter(field: griffe.Attribute) -> bool:
    settings = _settings(field) or {}
    is_property = "property" in field.labels
    return field.annotation is not None and not is_property and str(settings.get("init")) != "False"


def _parameter(field: griffe.Attribute, by_name: bool) -> griffe.Parameter:
    settings = _settings(field)
    default = field.value if settings is None else settings.get("default")
    if settings is not None and "factory" in settings:
        factory = str(settings["factory"])
        default = factory.removeprefix("lambda: ") if factory.startswith("lambda: ") else f"{factory}()"
    by_name = by_name or str((settings or {}).get("kw_only")) == "True"
    kind = griffe.ParameterKind.keyword_only if by_name else griffe.ParameterKind.positional_or_keyword
    return griffe.Parameter(field.name.lstrip("_"), annotation=field.annotation, kind=kind, default=default)
