"""How a key is declared, with all that is known of it; how a section is.

No other module holds what it knows of a key by the key's name: it asks `schema.about(key)`.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, model_validator

Decides = Literal["adapter", "verdict", "input", "start", "output", "speed"]


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key besides its type, range, default and description.

    Attributes:
        unit: what a number counts; None where it is no number.
        source: whose name and meaning it has, e.g. `PEFT, LoraConfig`; None where it is ours.
        also: what other tools call it, without a section; suggested to people who write that.
        decides: what its value changes:
            `adapter`: the weights, to the bit; so it has to stay when a run goes on,
            `verdict`: what the adapter may be called,
            `input`: where an input is, or how it is read; what is read counts by its digest,
            `start`: whether a run is refused,
            `output`: what is recorded, saved and kept, how often and where,
            `speed`: nothing else.
        reproduced: whether `medlora reproduce` uses the run's value; the default where not.
        path_to: the folder or file of this machine that it names; None where it names none.
        must_be: what a value must be, in words, where the type alone cannot say it.
    """

    unit: str | None = None
    source: str | None = None
    also: tuple[str, ...] = ()
    decides: Decides = "adapter"
    reproduced: bool = True
    path_to: Literal["folder", "file"] | None = None
    must_be: str | None = None


def key(  # noqa: PLR0913  (a declaration's own options, all by name)
    default: object,
    *,
    description: str,
    unit: str | None = None,
    source: str | None = None,
    also: tuple[str, ...] = (),
    decides: Decides = "adapter",
    reproduced: bool = True,
    path_to: Literal["folder", "file"] | None = None,
    must_be: str | None = None,
    **constraints: Any,  # noqa: ANN401  (pydantic's own contract)
) -> Any:  # noqa: ANN401  (pydantic's own contract)
    """Return the field of a key: its default, a few words on what it decides, and what `Key` holds.

    A key that does not say what it decides counts as deciding the adapter, so that no change of it
    goes unseen when a run goes on.  The constraints are pydantic's, e.g. `ge=1`.
    """
    field = Field(default, description=description, **constraints)
    field.metadata.append(
        Key(
            unit=unit,
            source=source,
            also=also,
            decides=decides,
            reproduced=reproduced,
            path_to=path_to,
            must_be=must_be,
        )
    )
    return field


class Section(BaseModel):
    """A group of keys: unknown ones are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _no_bool_as_number(cls, values: Any) -> Any:  # noqa: ANN401  (pydantic's own contract)
        """Keep `r: true` from becoming 1."""
        if not isinstance(values, dict):
            return values
        for name, field in cls.model_fields.items():
            kinds = {
                get_args(kind)[0] if get_origin(kind) is Annotated else kind
                for kind in (get_args(field.annotation) or [field.annotation])
            }
            number = bool(kinds & {int, float}) and bool not in kinds
            if number and isinstance(values.get(name), bool):
                values = values | {name: str(values[name]).lower()}
        return values


def as_list(value: object) -> object:
    """Read `a,b` from a variable or an option as a list; leave everything else alone."""
    if isinstance(value, str) and value not in ("auto", "all-linear"):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value
