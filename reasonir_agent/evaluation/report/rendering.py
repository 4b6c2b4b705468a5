"""Templates into a page: everything is escaped, control characters are dropped, and a name that is missing is an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reasonir_agent.errors import missing_extra
from reasonir_agent.evaluation.report.figures import clean, halves


def rendered(template: str, folders: Sequence[Path], **values: Any) -> str:
    """A template with its values.

    Args:
        template: name of its file.
        folders: where it and what it includes are looked for, in order.
        values: what it names.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        import jinja2
    except ModuleNotFoundError as cause:
        raise missing_extra("eval", "writing a page", cause) from cause
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
    environment.globals["halves"] = halves
    return environment.get_template(template).render(values) + "\n"
