"""The error tree. Every error says what is wrong, where, and what to do about it.

DragomanError
  UsageError         wrong option, unknown format, unknown config key      exit 2
  SourceError        an input that cannot be read, or holds no record      exit 3
    LimitError       an input larger or deeper than a configured limit     exit 3
  BundleError        a bundle that is missing, damaged or foreign          exit 4
  IntelError         intelligence that cannot be read or does not fit      exit 4
"""

from __future__ import annotations


class DragomanError(Exception):
    """Base of all errors Dragoman raises on purpose.

    ``what`` is the fault, ``where`` the file, line or byte it was found at, ``hint`` the next step.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(self.__str__())

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  {self.hint}" if self.hint else text


class UsageError(DragomanError):
    """The caller asked for something that does not exist or does not fit together."""

    exit_code = 2


class SourceError(DragomanError):
    """An input cannot be read, or nothing in it could be parsed."""

    exit_code = 3


class LimitError(SourceError):
    """An input exceeds a limit of :class:`dragoman.config.Limits`; the hint names the limit."""


class BundleError(DragomanError):
    """A model bundle is missing, damaged, or made by something else."""

    exit_code = 4


class IntelError(DragomanError):
    """Intelligence cannot be read, or its vectors belong to another model."""

    exit_code = 4
