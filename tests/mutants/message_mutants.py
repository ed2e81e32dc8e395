"""Guards of what comes in by message."""

from __future__ import annotations

from tests.mutants.mutant import mutant

CONSUMING = "messages/test_consuming.py"
BY_MESSAGE = "messages/test_by_message.py"

MUTANTS = (
    mutant(
        "a message has its effect only when it comes first",
        "declaring.py",
        "                    if await first(tx):",
        "                    if await first(tx) or True:",
        f"{CONSUMING}::test_a_message_that_comes_again_has_no_second_effect",
        on="sqlite",
    ),
    mutant(
        "a report that came before is not judged again",
        "process/gate.py",
        "        if report.first is not None and not await report.first(tx):",
        "        if report.first is not None and not await report.first(tx) and False:",
        f"{BY_MESSAGE}::test_a_report_by_message_ends_the_process_once",
        on="sqlite",
    ),
    mutant(
        "what fails is kept before it is acknowledged",
        "letters/taking.py",
        "            if await self._means.store.add(tx, came, verdict) and verdict.pause == DEAD:",
        "            if verdict.pause == DEAD:",
        f"{CONSUMING}::test_a_message_that_fails_is_kept_and_done_later",
        on="sqlite",
    ),
    mutant(
        "without the database nothing is acknowledged",
        "letters/taking.py",
        "            if error.retryable:\n                raise\n            await self._keep(delivery, error)",
        "            await self._keep(delivery, error)",
        f"{CONSUMING}::test_while_the_database_is_away_nothing_is_acknowledged",
        on="sqlite",
    ),
    mutant(
        "a message without an id has no effect",
        "declaring.py",
        "                if not message.id:",
        "                if not message:",
        f"{CONSUMING}::test_without_an_id_it_is_told_and_not_done",
        on="sqlite",
    ),
    mutant(
        "tries end",
        "letters/rules.py",
        "is_final or attempts + 1 >= TRIES",
        "is_final",
        f"{CONSUMING}::test_what_always_fails_is_dead_in_the_end",
        on="sqlite",
    ),
    mutant(
        "what was cut is not tried",
        "letters/engine.py",
        "            if not found.is_whole:",
        "            if not found:",
        f"{CONSUMING}::test_a_message_that_is_too_long_is_kept_for_people",
        on="sqlite",
    ),
    mutant(
        "messages of one key are one part",
        "letters/consuming.py",
        "        if not delivery.key or delivery.key not in keyed:",
        "        if True:",
        f"{CONSUMING}::test_messages_of_one_key_are_handled_in_order",
        on="postgres",
    ),
)
