"""How every command line of `interp` is read: whole names only, and a near name for a wrong one."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any


class Parser(argparse.ArgumentParser):
    """A parser that says what was probably meant.

    Names of options are not abbreviated: a script that says `--temp` would break on the day when
    a second option begins like that.
    """

    def __init__(self, *, examples: str | None = None, **options: Any) -> None:
        if examples is not None:
            options["epilog"] = f"examples:\n{examples}"
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def parse_known_args(  # type: ignore[override]  # one signature for the two of the base
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As the base does, but a stranger is refused here, where the known options are at hand."""
        found, strangers = super().parse_known_args(args, namespace)
        if strangers:
            name = strangers[0].partition("=")[0]
            self.error(f"unknown argument {name}{self._meant(name, self._option_string_actions)}")
        return found, []

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As the base does: whether a value is one of the choices."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            meant = self._meant(str(value), map(str, action.choices or ()))
            if not meant:
                raise
            raise argparse.ArgumentError(action, f"unknown {value!r}{meant}") from error

    @staticmethod
    def _meant(name: str, known: Iterable[str]) -> str:
        from difflib import get_close_matches

        near = get_close_matches(name, known, n=1)
        return f"; did you mean {near[0]}?" if near else ""
