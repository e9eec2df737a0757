"""Forms: WTForms for parsing and checking, with errors in the shape that pages and the API share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask_wtf import FlaskForm
from wtforms import DateField, SelectMultipleField, StringField
from wtforms.validators import DataRequired, Length
from wtforms.widgets import CheckboxInput, ListWidget

from app.errors import Invalid

Result = TypeVar("Result")


class Form(FlaskForm):
    """Base of all forms. The guard has checked the form token already."""

    class Meta:
        csrf = False

    def attempt(self, act: Callable[[], Result]) -> Result | None:
        """Check the form, then act; a domain `Invalid` lands beside its fields. None: show the form again."""
        if not self.validate():
            return None
        try:
            return act()
        except Invalid as error:
            self.refuse(error)
            return None

    def refuse(self, error: Invalid) -> None:
        """Put a domain error beside the fields that it names, or above the form."""
        for name, sentence in (error.fields or {"": str(error)}).items():
            if name in self:
                self[name].errors = [*self[name].errors, sentence]
            else:
                self.form_errors.append(sentence)

    def sentences(self) -> dict[str, str]:
        """Field to its first sentence, for the error summary; the empty name is the form as a whole."""
        found = {field.id: str(field.errors[0]) for field in self if field.errors}
        if self.form_errors:
            found[""] = str(self.form_errors[0])
        return found


class Checkboxes(SelectMultipleField):
    """Several of a list, as checkboxes."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


class Day(DateField):
    """A day in the three-box form of the design system: name-day, name-month, name-year; or one ISO value."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read one ISO date; empty is None."""
        self.data: date | None = None
        if not valuelist or not str(valuelist[0]).strip():
            return
        try:
            self.data = date.fromisoformat(str(valuelist[0]).strip())
        except ValueError:
            raise ValueError(f"{self.label.text} must be a real date, like 2027-03-31") from None


def text_field(label: str, *, most: int, required: str = "", hint: str = "") -> StringField:
    """A line of text. `required` is the sentence for an empty field; empty lets it be empty."""
    checks: list[Any] = [Length(max=most, message=f"{label} must be {most} characters or fewer")]
    if required:
        checks.insert(0, DataRequired(message=required))
    return StringField(label, checks, description=hint, filters=[lambda value: value.strip() if value else ""])


def safe_next(target: str | None) -> str:
    """A same-origin path to go to, or the start page: an address from outside never sends people elsewhere."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return "/"
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or any(c in target for c in "\r\n\t\\"):
        return "/"
    return target
