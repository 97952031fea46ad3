"""Code that does not end is ended, in its thread alone."""

from __future__ import annotations

import threading
import time

import pytest

from sea_toolkit.util.time_limit import OutOfTime, time_limit


def spin() -> None:
    while True:
        pass


def test_a_loop_without_end_is_ended_and_other_threads_go_on() -> None:
    other = threading.Thread(target=time.sleep, args=(0.3,))
    other.start()
    with pytest.raises(OutOfTime), time_limit(0.05):
        spin()
    other.join(timeout=20)
    assert not other.is_alive()


def test_what_ends_in_time_is_left_alone_and_its_own_error_passes() -> None:
    with time_limit(60):
        pass
    with pytest.raises(KeyError), time_limit(60):
        raise KeyError("own")
    with time_limit(0.2):
        pass
    time.sleep(0.3)  # nothing comes late
    assert not [t for t in threading.enumerate() if isinstance(t, threading.Timer) and not t.finished.is_set()]


def test_it_works_outside_of_the_main_thread() -> None:
    raised: list[bool] = []

    def work() -> None:
        try:
            with time_limit(0.05):
                spin()
        except OutOfTime:
            raised.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=20)
    assert raised == [True]
