"""The public face: complete, importable, and quiet."""

import subprocess
import sys

import transfer_prompting as tp


def test_every_public_name_is_there_and_documented():
    for name in tp.__all__:
        assert getattr(tp, name).__doc__, name
    assert tp.__all__ == sorted(tp.__all__)


def test_importing_starts_nothing_and_configures_nothing():
    code = (
        "import logging, threading, signal;"
        "before = (logging.root.handlers[:], threading.active_count(), signal.getsignal(signal.SIGINT));"
        "import transfer_prompting;"
        "after = (logging.root.handlers[:], threading.active_count(), signal.getsignal(signal.SIGINT));"
        "assert before == after, (before, after)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_scenario_is_loaded_by_path_or_bundled_name():
    assert tp.Scenario.load("quickstart").name == "quickstart"
