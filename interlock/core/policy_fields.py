"""What the parts of a policy file are made of: names, times, and how a person is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from interlock.core.verdict import Default, Escalation, Terms

LONGEST = 3650 * 86400
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_SECONDS = (86400, 3600, 60, 1)


def _seconds(value: Any) -> float:  # what the file says
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value.isascii() else None
    parts = zip(match.groups("0"), _SECONDS, strict=True) if match else ()
    found = sum(int(number) * seconds for number, seconds in parts)
    if not 0 < found <= LONGEST:
        raise ValueError(f'{value!r} is no time; write "90s", "30m", "4h", "1h30m" or "2d"')
    return float(found)


def listed(value: Any) -> Any:  # what the file says
    """Return one value, or a list of them, as a list."""
    if value == []:
        raise ValueError("the list is empty; leave the key out where everything is meant")
    if isinstance(value, list):
        return tuple(value)
    return (value,)


def _name(value: str) -> str:
    if not value or value != value.strip() or not value.isprintable():
        raise ValueError(f"{value!r} is no name; write it without blanks around it, on one line")
    return value


Duration = Annotated[float, BeforeValidator(_seconds)]
Name = Annotated[str, AfterValidator(_name), Field(max_length=200)]
Names = Annotated[tuple[Name, ...], BeforeValidator(listed)]
Text = Annotated[str, Field(max_length=1000)]
Share = Annotated[float, Field(ge=0, le=1)]


class Form(BaseModel):
    """Nothing is guessed: an unknown key and a value of another type are faults."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _every_key_has_a_value(cls, value: Any) -> Any:  # what the file says
        empty = [key for key, each in value.items() if each is None] if type(value) is dict else []
        if empty:  # YAML reads a forgotten value as null; it must not turn into "everything"
            raise ValueError(f"{empty[0]} has no value; write one, or leave the key out")
        return value


class EscalationForm(Form):
    """Whom to ask too, later."""

    after: Duration
    who: Names


class TermsForm(Form):
    """How a person is asked."""

    who: Names = ()
    needed: Annotated[int, Field(ge=1, le=100)] = 1
    within: Duration | None = None
    remind: Duration | None = None
    chain: list[EscalationForm] = Field(default_factory=list)
    default: Default = "reject"

    @model_validator(mode="after")
    def _sensible_terms(self) -> TermsForm:
        everybody = (*self.who, *(name for each in self.chain for name in each.who))
        people = {name.casefold() for name in everybody}
        if self.who and self.needed > len(people):
            raise ValueError(f"{self.needed} must agree, and only {len(people)} may; name more")
        if self.chain and not self.who:
            raise ValueError("chain asks others too, and anybody may answer already; write who")
        if self.default == "approve" and self.within is None:
            raise ValueError("default is approve, and there is no deadline; write within")
        _check_times(self.remind, [each.after for each in self.chain], self.within)
        return self

    @property
    def terms_given(self) -> list[str]:
        """The keys of this part that the file has."""
        return [name for name in TermsForm.model_fields if name in self.model_fields_set]

    def terms(self) -> Terms:
        """Return it as a question uses it."""
        return Terms(
            who=self.who,
            needed=self.needed,
            within=self.within,
            remind=self.remind,
            chain=tuple(Escalation(after=each.after, who=each.who) for each in self.chain),
            default=self.default,
        )


def _check_times(remind: float | None, chain: Sequence[float], within: float | None) -> None:
    if any(later <= earlier for earlier, later in pairwise(chain)):
        raise ValueError("chain goes from the earliest to the latest; order it by after")
    if within is not None and any(each >= within for each in (remind or 0, *chain)):
        raise ValueError("remind and chain come before the deadline; write less than within")
