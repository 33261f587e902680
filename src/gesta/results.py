"""Results of the Python API: values with a readable repr and, if pandas is installed, a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gesta.words import install

SHOWN = 6


class Result:
    """Base class of the results of API calls.

    `metrics`: numbers by name. `document`: everything that the command prints with --json.

        found = gesta.inspect("my_gestures")
        print(found)                              # Measured(samples=..., ...)
        print(found.rows()[0]["samples"])
    """

    metrics: Mapping[str, Any]
    document: Mapping[str, Any]

    def rows(self) -> list[dict[str, Any]]:
        """The result as rows of a table, one dictionary each."""
        return [dict(self.metrics)]

    def to_dataframe(self) -> Any:
        """The rows as a pandas DataFrame. Raises ImportError, with install instructions, if pandas is missing."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError(f"to_dataframe needs pandas, which is not installed: {install('pandas')}") from error
        return pandas.DataFrame(self.rows())

    def __repr__(self) -> str:
        numbers = [
            f"{name}={value:.4g}"
            for name, value in self.metrics.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        ]
        bundle = getattr(self, "bundle", None)
        shown = [*([f"bundle={str(bundle)!r}"] if bundle else []), *numbers[:SHOWN]]
        return f"{type(self).__name__}({', '.join(shown)})"
