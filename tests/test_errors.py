"""What a caller may rely on about every exception of the package."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import interp
from interp import errors

BUILT_IN = {
    errors.ConfigError: ValueError,
    errors.InputError: ValueError,
    errors.HookError: KeyError,
    errors.CacheError: RuntimeError,
    errors.LoadError: OSError,
    errors.StoreError: OSError,
    errors.TrainingError: RuntimeError,
    errors.UnsupportedModelError: NotImplementedError,
}


def test_no_error_is_left_out() -> None:
    here = {c for c in errors.InterpError.__subclasses__() if c.__module__ == errors.__name__}
    assert here == set(BUILT_IN)


@pytest.mark.parametrize(("error", "built_in"), BUILT_IN.items())
def test_both_the_package_and_the_built_in_catch_it(
    error: type[errors.InterpError], built_in: type[Exception]
) -> None:
    for caught_as in (interp.InterpError, built_in):
        with pytest.raises(caught_as):
            raise error("no such thing; here. Do this.")


@pytest.mark.parametrize("error", [errors.InterpError, *BUILT_IN])
@given(message=st.text())
def test_the_message_is_shown_as_written(error: type[errors.InterpError], message: str) -> None:
    assert str(error(message)) == message


@pytest.mark.parametrize("error", [errors.InterpError, *BUILT_IN])
@given(message=st.text())
def test_it_crosses_process_boundaries(error: type[errors.InterpError], message: str) -> None:
    copy = pickle.loads(pickle.dumps(error(message)))
    assert type(copy) is error
    assert str(copy) == message


def test_several_arguments_and_none_still_print() -> None:
    assert str(errors.InputError()) == ""
    assert "a" in str(errors.InputError("a", 1))
    assert "1" in str(errors.InputError("a", 1))
