"""Queued work ends with what started it."""

import subprocess
import sys
import threading

import pytest

from gesta.threads import Threads


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_has_not_begun_is_cancelled_when_the_block_fails(error):
    go_on, done = threading.Event(), []

    def task(number):
        go_on.wait(30)
        done.append(number)

    with pytest.raises(error), Threads(1) as pool:
        jobs = [pool.submit(task, number) for number in range(5)]
        threading.Timer(0.05, go_on.set).start()
        raise error
    assert all(job.cancelled() for job in jobs[1:])
    jobs[0].result(30)
    assert done == [0]


def test_a_block_that_ends_well_finishes_its_queue():
    with Threads(2) as pool:
        jobs = [pool.submit(pow, 2, number) for number in range(20)]
    assert [job.result() for job in jobs] == [2**number for number in range(20)]


KILLED = """
import sys, time, typer
from gesta.cli import ending
from gesta.threads import Threads
begun = []
def task():
    begun.append(1); print(".", end="", flush=True); time.sleep(.2)
class Interrupted(Threads):
    def shutdown(self, *args, **kwargs): raise KeyboardInterrupt  # the second Ctrl-C, at the worst moment
app = typer.Typer()
@app.command()
def make():
    with Interrupted(1) as pool:
        for _ in range(500): pool.submit(task)
        while not begun: time.sleep(.01)
        raise KeyboardInterrupt
sys.argv = ["gesta"]
ending.run(app, ["gesta", "data", "make"])
"""


def stopped(program: str) -> str:
    """What a program prints that Ctrl-C ends: it says how to go on, and nothing else."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 130
    told = "Stopped: interrupted. Finished work is kept. To continue: gesta data make"
    assert done.stderr.splitlines() == [told]
    return done.stdout


def test_a_second_ctrl_c_before_the_queue_is_cancelled_does_not_wait_for_it():
    assert len(stopped(KILLED)) <= 2  # of 500


HELD = """
import sys, threading, typer
from gesta.cli import ending
app = typer.Typer()
@app.command()
def make():
    threading.Thread(target=threading.Event().wait).start()  # as a thread that waits for a lock that is never released
    raise KeyboardInterrupt
sys.argv = ["gesta"]
ending.run(app, ["gesta", "data", "make"])
"""


def test_a_thread_that_waits_forever_does_not_keep_the_program():
    assert stopped(HELD) == ""


IMPATIENT = """
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from gesta.cli import ending
def app():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)
    finally:
        {ending}
ending.run(app, ["gesta", "data", "make"])
"""


@pytest.mark.parametrize(
    "end",
    [
        "os.kill(os.getpid(), signal.SIGINT); print('all of the end')",
        "threading.Lock().release()",
        "time.sleep(1.1); os.kill(os.getpid(), signal.SIGINT); time.sleep(30)",
    ],
    ids=["the same press twice", "the interrupt causes another error", "again, when the end takes too long"],
)
def test_however_ctrl_c_comes_the_command_says_how_to_go_on(end):
    assert ("all of the end" in stopped(IMPATIENT.format(ending=end))) == ("all of the end" in end)
