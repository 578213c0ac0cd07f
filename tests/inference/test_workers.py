"""Jobs read and written in processes of their own, while another one is computed here."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import sleep

import pytest

from pipeline.inference.interruption import held
from pipeline.inference.workers import overlapped
from tests.inference.words import (
    Word,
    begun,
    compute,
    exit_at_once,
    kill_itself,
    note_process,
    note_surroundings,
    note_then_read,
    read,
    read_then_refuse,
    refuse,
    until,
    write,
    write_once_told,
    write_slowly,
)


def words(letters, folder):
    return [Word(letter, folder) for letter in letters]


def texts(ended):
    return sorted(word.text for word in ended)


def test_a_job_goes_through_its_three_steps(tmp_path):
    assert texts(overlapped(words("ab", tmp_path), read, compute, write)) == ["arcw", "brcw"]


def test_reading_and_writing_are_done_in_other_processes(tmp_path):
    (word,) = overlapped(words("a", tmp_path), note_process, note_process, note_process)
    reader, computer, writer = map(int, word.text.split()[1:])
    assert computer == os.getpid()
    assert len({reader, computer, writer}) == 3


def test_the_next_job_is_read_and_the_last_one_written_while_one_is_computed(tmp_path):
    def compute_beside_others(word):
        if word.text == "br":
            until(lambda: begun(tmp_path, "read") == ["a", "b", "c"])
            until(lambda: begun(tmp_path, "write") == ["a"])

    ended = overlapped(words("abc", tmp_path), read, compute_beside_others, write)
    assert texts(ended) == ["arw", "brw", "crw"]


def test_all_is_computed_while_the_last_one_is_still_written(tmp_path):
    ended = overlapped(
        words("ab", tmp_path), read, compute, write_once_told, computed=(tmp_path / "told").touch
    )
    assert texts(ended) == ["arcw", "brcw"]


def test_memory_can_be_given_back_before_what_is_not_read_meanwhile(tmp_path):
    told = []

    def tell():
        told.append(begun(tmp_path, "read"))

    list(overlapped(words("ab", tmp_path), read, compute, write, lambda _word: 0, tell))
    assert told == [["a"], ["a", "b"], ["a", "b"]]


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_no_more_jobs_wait_than_are_asked_for(tmp_path, ahead):
    found = []

    def look(word):
        expected = sorted("abcdef"[: "abcdef".index(word.text[0]) + 1 + ahead])
        until(lambda: begun(tmp_path, "read") == expected)
        sleep(0.2)  # in which one too many would begin
        assert begun(tmp_path, "read") == expected
        found.append(word.text[0])

    list(overlapped(words("abcdef", tmp_path), read, look, write, lambda _word: ahead))
    assert found == list("abcdef")


def test_no_more_than_two_jobs_are_written_at_a_time(tmp_path):
    ended = texts(overlapped(words("abcdef", tmp_path), read, compute, write_slowly))
    assert [text[0] for text in ended] == list("abcdef")
    assert max(int(text.split()[1]) for text in ended) <= 2


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ((kill_itself, compute, write), "that read it ended with signal 9 (SIGKILL)"),
        ((exit_at_once, compute, write), "that read it ended with status 3"),
        ((read, compute, kill_itself), "that wrote it ended with signal 9 (SIGKILL)"),
        ((read, compute, exit_at_once), "that wrote it ended with status 3"),
        ((refuse, compute, write), "this one is refused"),
        ((read, refuse, write), "this one is refused"),
        ((read, compute, refuse), "this one is refused"),
    ],
)
def test_what_ends_one_job_harms_no_other(tmp_path, steps, sentence):
    ended = list(overlapped(words("abc", tmp_path), *steps))
    assert sorted(word.text[0] for word in ended) == ["a", "b", "c"]
    for word in ended:
        assert word.failed == (word.text[0] == "b")
        if word.failed:
            assert sentence in word.errors[0]
            assert len(word.errors) == 1


def test_what_a_step_did_before_it_failed_is_kept(tmp_path):
    (word,) = overlapped(words("b", tmp_path), read_then_refuse, compute, write)
    assert (word.text, word.failed) == ("br", True)


def test_a_process_has_the_surroundings_of_this_one(tmp_path, monkeypatch):
    texts(overlapped(words("a", tmp_path), read, compute, write))  # the server runs
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNET_BUNDLES_TESTED", "yes")
    (word,) = overlapped(words("a", tmp_path), note_surroundings, compute, write)
    assert word.text == f"a{tmp_path} yescw"


def test_an_interruption_leaves_no_process(tmp_path):
    def interrupt(word):
        if word.text == "br":
            until(lambda: begun(tmp_path, "read") == ["a", "b", "c"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(overlapped(words("abc", tmp_path), note_then_read, interrupt, write))
    for path in tmp_path.glob("process-*"):
        assert not Path("/proc", path.read_text()).exists()
    assert len(list(tmp_path.glob("process-*"))) == 3


@pytest.mark.usefixtures("patient")
def test_a_job_that_is_being_written_is_given_before_an_interruption_ends_all(tmp_path):
    def interrupt(word):
        if word.text == "br":
            until(lambda: begun(tmp_path, "write") == ["a"])
            raise KeyboardInterrupt

    jobs, given = overlapped(words("abc", tmp_path), read, interrupt, write), []
    with pytest.raises(KeyboardInterrupt):
        given.extend(word.text for word in jobs)
    assert given == ["arw"]


@pytest.mark.usefixtures("heeded", "patient")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_waits_until_a_job_that_has_ended_is_dealt_with(tmp_path, number):
    jobs, given = overlapped(words("ab", tmp_path), read, compute, write), []

    @held()
    def interrupted_by_the_first():
        for word in jobs:
            if not given:
                os.kill(os.getpid(), number)
            given.append(word.text)

    with pytest.raises(KeyboardInterrupt):
        interrupted_by_the_first()
    assert sorted(given) == ["arcw", "brcw"]


SCRIPT = """
from pathlib import Path
from pipeline.inference.workers import overlapped
from tests.inference.words import Word, read, write
print("begun", flush=True)
(word,) = overlapped([Word("a", Path({folder!r}))], read, read, write)
print(word.text)
"""


def test_a_script_needs_no_guard_against_being_run_once_more(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(folder=str(tmp_path)))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, env=environment
    )
    assert ended.stdout.splitlines() == ["begun", "arrw"]
