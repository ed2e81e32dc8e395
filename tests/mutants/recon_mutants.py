"""Guards of comparisons."""

from __future__ import annotations

from tests.mutants.mutant import mutant

COMPARING = "recon/test_comparing.py"
COPIED = "recon/test_copied.py"
FACTS = "recon/test_facts.py"
INTAKE = "recon/test_intake.py"
LIVE = "recon/test_live.py"

MUTANTS = (
    mutant(
        "a key that is there twice is no pair",
        "recon/comparing.py",
        "        if not self._classified():",
        "        if self._classified() is None:",
        f"{COMPARING}::test_one_key_that_is_there_twice_is_no_pair",
    ),
    mutant(
        "parts that do not share a value are left to the judge",
        "recon/plain.py",
        'return [*single, f"NOT {letter}.mixed"]',
        "return single",
        f"{COMPARING}::test_parts_that_do_not_share_a_value_are_left_to_the_judge",
    ),
    mutant(
        "what PostgreSQL escapes is read as it was",
        "recon/copied.py",
        "    if not pc.any(escaped).as_py():",
        "    if True:",
        f"{COPIED}::test_whatever_stands_in_a_text",
    ),
    mutant(
        "a field with NaN is compared as texts",
        "recon/plain.py",
        "    return without == rows",
        "    return True",
        "recon/test_numbers.py::test_what_is_no_number_is_told_as_it_stands",
    ),
    mutant(
        "a table may take longer to copy than a statement",
        "database/postgres.py",
        "return self._streamed(sql, params, read, _COPY)",
        "return self._streamed(sql, params, read, _STREAM)",
        f"{COPIED}::test_a_whole_table_may_take_longer_than_a_statement",
    ),
    mutant(
        "a field that no row of an API has is told",
        "recon/paging.py",
        "        if seen and lacking:",
        "        if not seen and lacking:",
        "recon/test_paged.py::test_answers_that_lead_in_a_circle_or_lack_what_is_compared_are_refused",
    ),
    mutant(
        "a piece ends with a row",
        "database/postgres_copy.py",
        'begun.rfind(b"\\n") + 1',
        "len(begun)",
        f"{COPIED}::test_a_piece_ends_with_a_row_wherever_the_data_is_torn",
    ),
    mutant(
        "what does not agree waits for the grace",
        "recon/facts.py",
        'self.outcome, self.due = "waiting", self.changed + (judged.grace or 0)',
        'self.outcome, self.due = "waiting", self.changed',
        f"{FACTS}::test_what_does_not_agree_waits_for_the_grace_behind_its_latest_fact",
    ),
    mutant(
        "who is asked for early waits for the grace",
        "recon/facts.py",
        "if verdict.is_break and until > watermark:",
        "if verdict.is_break and not until:",
        f"{FACTS}::test_who_is_asked_for_early_waits_for_the_grace",
    ),
    mutant(
        "a record that goes and was not there is in doubt",
        "recon/facts.py",
        'self.outcome = "doubtful"\n        if',
        'self.outcome = "new"\n        if',
        f"{FACTS}::test_equal_records_are_several",
    ),
    mutant(
        "the grace ends by the feed that is behind",
        "recon/live.py",
        "return min(self._feeds[name].watermark for name in rule.feeds)",
        "return max(self._feeds[name].watermark for name in rule.feeds)",
        f"{LIVE}::test_a_side_that_lags_leaves_checks_waiting",
    ),
    mutant(
        "what was forgotten is no gap",
        "recon/live.py",
        "since = max(rule.since, self.watermark(rule) - rule.rule.memory)",
        "since = rule.since",
        f"{LIVE}::test_what_was_forgotten_is_no_gap_when_it_changes",
    ),
    mutant(
        "what is told again counts once",
        "recon/following.py",
        "        if after.covers(position):\n            return True",
        "        if after.covers(position):\n            return False",
        f"{LIVE}::test_one_that_goes_on_knows_what_the_last_one_knew",
    ),
    mutant(
        "nothing stays in the intake twice",
        "recon/following.py",
        "fresh = portions[self._stayed.get(feed, 0) :]",
        "fresh = portions",
        f"{INTAKE}::test_nothing_stays_twice",
    ),
    mutant(
        "all that was read is taken with what sources have said",
        "recon/live.py",
        "self.intake.take(whole=bool(self._settled))",
        "self.intake.take()",
        f"{INTAKE}::test_what_sources_have_said_is_judged_with_all_that_was_read",
    ),
    mutant(
        "a batch passes what it has taken",
        "recon/following.py",
        "batch.passed[feed] = portion.passed",
        "batch.passed[feed] = portions[-1].passed",
        f"{INTAKE}::test_halves_whose_others_have_not_come_stay_for_the_next_batch",
    ),
    mutant(
        "a feed that says nothing is told",
        "recon/watching.py",
        "if self._clock.monotonic() > follower.heard + SILENT:",
        "if self._clock.monotonic() < follower.heard:",
        f"{LIVE}::test_a_feed_that_says_nothing_is_told",
    ),
    mutant(
        "what waited in the log is told as of its own time",
        "feeds/mysql.py",
        "self._decoder.latest = self._source_time()",
        "self._decoder.latest = 0",
        "feeds/test_conformance.py::test_commit_times_of_what_waited_are_the_sources_too",
    ),
    mutant(
        "whatever there is before the end of all times is loaded",
        "recon/dialects.py",
        """, '{last}')" for end, last in ends)""",
        """, NULL)" for end, last in ends)""",
        "recon/test_live_mariadb.py::test_breaks_are_told_and_withdrawn",
    ),
    mutant(
        "what stood in a topic is not read by one that begins",
        "feeds/broker.py",
        "Resume(since=now, ends=dict(ends))",
        "Resume(since=now)",
        "feeds/test_broker.py::test_what_stood_there_before_it_began_is_not_even_read",
    ),
    mutant(
        "the first message behind where a feed of messages begins is there",
        "feeds/broker.py",
        "        last = max(self._resume.number, begin - 1)",
        "        last = self._resume.number if self._resume.number >= 0 else number - 1",
        "feeds/test_broker.py::test_the_first_message_may_not_be_missing_either",
    ),
    mutant(
        "a heartbeat between bounds of a transaction is heard",
        "feeds/broker.py",
        "        elif inside.at:",
        "        elif not inside.at:",
        "feeds/test_broker.py::test_a_heartbeat_between_bounds_is_heard",
    ),
)
