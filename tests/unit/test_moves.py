"""What whoever takes a process over does about its open call."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.makings import NOW, RULES, SECOND, claim, entry, record, rules
from tieout.process.outcomes import NotFound, NotSentYet, Pending, Succeeded, Unknown
from tieout.process.rules import (
    RETRY_AFTER_CAP,
    Apply,
    Hold,
    Query,
    Rest,
    Send,
    after_not_found,
    back_off,
    delay,
    key_is_valid,
    next_move,
    note_of,
)

HOUR = 3_600 * SECOND


def move(given, at=NOW + SECOND, **changes):
    call = entry(**changes)
    return next_move(record(entries=[call]), call, given, at)


def missed(given, at, **changes):
    call = entry(**changes)
    return after_not_found(record(entries=[call]), call, given, at)


def test_a_kept_claim_is_applied_first():
    """A final claim that has not been applied is applied: nothing is sent or asked any more."""
    made = claim(Succeeded({"code": "A"}))
    assert move(RULES, final=made) == Apply(made)


def test_a_call_that_may_have_been_sent_is_queried():
    """Whoever takes over a call queries it before anything is sent again."""
    assert move(RULES) == Query()
    assert move(RULES, sent=NOW) == Query()


def test_without_a_query_an_idempotent_call_is_sent_again():
    """The same key makes that safe; the send is marked."""
    assert move(rules(has_query=False)) == Send(mark=True)


def test_a_call_that_is_sent_once_is_sent_when_it_bears_no_mark():
    """Without the mark it was certainly not sent."""
    assert move(rules(idempotent=False)) == Send(mark=True)
    assert move(rules(idempotent=False, has_query=False)) == Send(mark=True)


def test_a_call_that_is_sent_once_is_never_sent_again():
    """With the mark it is queried; without a query it is held for a person."""
    assert move(rules(idempotent=False), sent=NOW) == Query()
    given = rules(idempotent=False, has_query=False)
    assert move(given, at=NOW + given.first_due, sent=NOW) == Hold("sent-once")


def test_a_marked_call_is_left_to_whoever_marked_it():
    """Somebody who was made to look early does not hold what may be sent in the next moment."""
    given = rules(idempotent=False, has_query=False)
    assert move(given, at=NOW + given.first_due - 3, sent=NOW) == Rest(3)


@pytest.mark.parametrize("idempotent", [True, False])
def test_past_the_keys_life_nothing_is_sent(idempotent):
    """The downstream may have forgotten the key: without a query the process is held."""
    given = rules(idempotent=idempotent, has_query=False, key_valid=HOUR)
    last = NOW + HOUR - given.timeout - 1
    assert move(given, at=last) == Send(mark=True)
    assert move(given, at=last + 1) == Hold("key-expired")


def test_past_the_keys_life_the_query_is_asked():
    """A query does no harm, however old the key."""
    assert move(rules(key_valid=HOUR), at=NOW + 100 * HOUR) == Query()


def test_not_found_is_not_believed_before_the_settle_time():
    """Shortly after a send the downstream may not see its own order yet."""
    assert missed(RULES, NOW + RULES.settle - 1) is None


def test_not_found_is_believed_after_the_settle_time():
    """After it, the call is sent again, marked, with its key."""
    assert missed(RULES, NOW + RULES.settle) == Send(mark=True)


def test_the_settle_time_begins_with_the_latest_send():
    """A call that was sent again has its settle time from then."""
    again = NOW + HOUR
    assert missed(RULES, again + RULES.settle - 1, sent=again) is None
    assert missed(RULES, again + RULES.settle, sent=again) == Send(mark=True)


def test_the_settle_time_of_a_later_call_begins_when_it_was_opened():
    """Not with the process."""
    assert missed(RULES, NOW + RULES.settle, opened=NOW + HOUR) is None


def test_not_found_never_sends_a_second_time_what_is_sent_once():
    """After the settle time, counted from its last possible send, it is held, at any age."""
    given = rules(idempotent=False)
    last_send = NOW + given.first_due - given.timeout
    assert missed(given, last_send + given.settle - 1, sent=NOW) is None
    assert missed(given, last_send + given.settle, sent=NOW) == Hold("sent-once")


def test_not_found_past_the_keys_life_holds():
    """It would have to be sent again, and must not."""
    given = rules(key_valid=HOUR)
    assert missed(given, NOW + HOUR) == Hold("key-expired")


def test_the_keys_life_begins_when_the_call_was_opened():
    """The key of a later call is younger than the process; the last try still arrives while it is remembered."""
    given = rules(key_valid=HOUR)
    last = NOW + 2 * HOUR - given.timeout - 1
    assert key_is_valid(record(), entry(opened=NOW + HOUR), given, last)
    assert not key_is_valid(record(), entry(opened=NOW + HOUR), given, last + 1)
    assert key_is_valid(record(), entry(), RULES, NOW + 10**6 * HOUR)


@given(st.integers(-5, 2_000), st.integers(0, HOUR), st.integers(1, 24 * HOUR))
def test_the_back_off_grows_and_is_capped(attempts, first, cap):
    """Each attempt waits at least as long as the one before, and none longer than the cap."""
    waits = [back_off(attempt, first, cap) for attempt in (attempts, attempts + 1)]
    assert 0 < waits[0] <= waits[1] <= cap


def test_the_back_off_doubles():
    """The first attempt waits `first`, each further one twice as long."""
    assert [back_off(attempt, 5, 1_000) for attempt in (0, 1, 2, 3, 4)] == [5, 5, 10, 20, 40]


@pytest.mark.parametrize("after", [0, 0.5, 30, 3_600])
def test_what_the_downstream_asks_for_is_honoured(after):
    """`Pending(after=...)` says when to ask again."""
    assert delay(Pending(after), 9, RULES) == after * SECOND


@pytest.mark.parametrize("after", [3_601, 1e9, 1e300, math.inf])
def test_an_absurd_wait_is_cut(after):
    """No downstream puts a process off for more than an hour."""
    assert delay(Pending(after), 1, RULES) == RETRY_AFTER_CAP


@pytest.mark.parametrize(
    "outcome", [Pending(-1), Pending(math.nan), Pending(None), Unknown(), NotFound(), NotSentYet()]
)
def test_without_a_sound_wish_the_back_off_decides(outcome):
    """A wait that is none, and every other outcome, waits for the back-off."""
    assert delay(outcome, 3, RULES) == back_off(3, RULES.query_after, RULES.retry_cap)


@given(st.text(st.characters(), max_size=1_000))
def test_a_note_can_always_be_stored(reason):
    """Whatever a downstream says, the note about it is short text that every database takes."""
    for outcome in (Unknown(reason), NotSentYet(reason)):
        note = note_of(outcome)
        assert len(note) <= 500
        assert "\0" not in note
        note.encode()


def test_notes_tell_why():
    """A person sees what a process waits for."""
    notes = [note_of(outcome) for outcome in (Pending(), NotFound(), NotSentYet("refused"), Unknown("timed out"))]
    assert notes == ["pending", "not found yet", "not sent: refused", "unknown: timed out"]


def test_whoever_opens_a_call_has_time_for_it():
    """The first due time leaves room for the call, the wait, the query, and a margin."""
    assert RULES.first_due > 2 * RULES.timeout + RULES.query_after
