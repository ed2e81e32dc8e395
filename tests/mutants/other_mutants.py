"""Guards of everything but the engine of processes: operators, retention, the receiving side, values, databases."""

from __future__ import annotations

from tests.mutants.mutant import mutant

OPERATORS = (
    mutant(
        "the second person is another one",
        "alarm/rules.py",
        '_person(before.get("actor", "")) != _person(actor)',
        'bool(_person(before.get("actor", "")))',
        "process/test_settle.py::test_the_second_person_is_another_one",
        on="sqlite",
    ),
    mutant(
        "against evidence it takes two",
        "process/operating.py",
        "            if alarm is not None and await self._first_wish(tx, alarm, wish, act, record):",
        "            if alarm is None and await self._first_wish(tx, alarm, wish, act, record):",
        "process/test_settle.py::test_against_evidence_two_persons_have_to_agree",
        on="sqlite",
    ),
    mutant(
        "two persons want the same",
        "alarm/rules.py",
        'return before.get("wish") == wish and',
        'return bool(before.get("wish")) and',
        "process/test_settle.py::test_the_second_person_has_to_want_the_same",
        on="sqlite",
    ),
    mutant(
        "an act is audited with its effect",
        "process/operating.py",
        "        record.fence += 1\n        await self._note(tx, act, action, record, detail)",
        "        record.fence += 1",
        "process/test_operator.py::test_the_audit_is_written_with_the_effect_or_not_at_all",
        on="sqlite",
    ),
    mutant(
        "a command sees that it lost",
        "process/operating.py",
        "        if not await self.world.store.save(tx, record, due_in):\n            raise LostError",
        "        await self.world.store.save(tx, record, due_in)",
        "process/test_operator.py::test_of_two_commands_on_one_reading_one_is_done",
    ),
    mutant(
        "a command fits the status",
        "process/operating.py",
        "    if record.status != status:",
        "    if not record.status:",
        "process/test_operator.py::test_commands_fit_the_status",
        on="sqlite",
    ),
    mutant(
        "an act has an actor and a reason",
        "process/operating.py",
        "        if not self.actor.strip() or not self.reason.strip():",
        "        if not self.actor.strip() and not self.reason.strip():",
        "process/test_operator.py::test_every_act_has_an_actor_and_a_reason",
    ),
    mutant(
        "a move of one's own table is guarded",
        "process/machine.py",
        '        where = f"{self.key} = :row AND {self.state} = :old{guard}"',
        '        where = f"{self.key} = :row AND :old <> :new{guard}"',
        "process/test_machine.py::test_one_of_two_movers_wins",
        on="sqlite",
    ),
    mutant(
        "a move counts its rows",
        "process/machine.py",
        "**params, **guard, **keep) == 1:",
        "**params, **guard, **keep) >= 0:",
        "process/test_machine.py::test_an_unknown_row_is_stale",
        on="sqlite",
    ),
)

KEPT = (
    mutant(
        "only what is old is retired",
        "process/sql/common.sql",
        "WHERE created < {now} - :age AND changed < {now} - :age AND status = 'final' AND created >= :since",
        "WHERE created < {now} - :age AND status = 'final' AND created >= :since",
        "process/test_retention.py::test_age_counts_from_the_last_change",
        on="sqlite",
    ),
    mutant(
        "a tombstone keeps its finals' digests",
        "process/retention.py",
        '        final = msgspec.structs.replace(final, value=None, detail="")',
        "        final = None",
        "process/test_retention.py::test_a_late_different_report_raises_the_alarm_once",
        on="sqlite",
    ),
    mutant(
        "strays are limited",
        "process/sql/common.sql",
        "WHERE (SELECT count(*) FROM tieout_stray) < :limit\n",
        "WHERE (SELECT count(*) FROM tieout_stray) >= 0 OR 0 < :limit\n",
        "process/test_strays.py::test_strays_are_limited",
        on="sqlite",
    ),
    mutant(
        "a message is taken in once",
        "messages/store.py",
        "message_id=key, keep=self._keep) == 1",
        "message_id=key, keep=self._keep) >= 0",
        "once/test_retention.py::test_a_message_is_taken_in_once",
        on="sqlite",
    ),
)

ONCE = (
    mutant(
        "once: the fingerprint is compared",
        "once/rules.py",
        "    if stored.fingerprint != request.fingerprint:",
        "    if not stored.fingerprint:",
        "once/test_run.py::test_other_params_are_refused",
        on="sqlite",
    ),
    mutant(
        "once: the answer that is there is given",
        "once/rules.py",
        "    if stored is None:\n        return Begin() if free else Busy()",
        "    if stored is None or free:\n        return Begin() if free else Busy()",
        "once/test_run.py::test_a_repetition_gets_the_first_answer",
        on="sqlite",
    ),
    mutant(
        "once: the unique id",
        "once/engine.py",
        "                await self.store.add(tx, request, kept, keep)",
        "                await self.store.keep(tx, request, kept, keep)",
        "once/test_interleavings.py",
        on="postgres",
    ),
    mutant(
        "once: the claim",
        "once/sql/postgres.sql",
        "SELECT pg_try_advisory_xact_lock(('x' || encode(substr(:id::bytea, 1, 8), 'hex'))::bit(64)::bigint) AS free,",
        "SELECT :id::bytea IS NOT NULL AS free,",
        "once/test_find.py::test_a_request_at_work_is_in_flight_everywhere",
        on="postgres",
    ),
    mutant(
        "once: the key behind an id is compared",
        "once/rules.py",
        "    if (stored.scope, stored.owner, stored.key) != (request.scope, request.owner, request.key):",
        "    if stored.scope != request.scope:",
        "once/test_keys.py::test_the_verdict",
    ),
    mutant(
        "once: a passing failure is not kept",
        "once/rules.py",
        "    if status in forgotten or status >= 500:",
        "    if status in forgotten and status >= 500:",
        "once/test_http.py::test_a_passing_failure_is_not_kept",
        on="sqlite",
    ),
    mutant(
        "once: a refusal rolls back",
        "once/rules.py",
        '    return "refuse" if status >= 400 else "commit"',
        '    return "commit"',
        "once/test_http.py::test_a_refusal_is_given_again_and_has_changed_nothing",
        on="sqlite",
    ),
)

VALUES = (
    mutant(
        "a key twice in one object is refused",
        "identity.py",
        "    if len(unique) != len(pairs):",
        "    if len(unique) > len(pairs):",
        "unit/test_json.py::test_the_strict_reader_refuses",
    ),
    mutant(
        "NaN is not stored",
        "identity.py",
        "        if isinstance(item, float) and not math.isfinite(item):",
        "        if isinstance(item, float) and not item == item + 0 * item and math.isfinite(item):",
        "unit/test_json.py::test_numbers_that_are_none_are_not_stored",
    ),
    mutant(
        "nesting has an end",
        "identity.py",
        "            if depth == 0:",
        "            if depth == -10_000:",
        "unit/test_json.py::test_the_strict_reader_refuses",
    ),
    mutant(
        "integers have an end",
        "identity.py",
        "    if len(text) > JSON_DIGITS:",
        "    if len(text) > 100 * JSON_DIGITS:",
        "unit/test_json.py::test_the_strict_reader_refuses",
    ),
    mutant(
        "keys have a length",
        "identity.py",
        "    if not 1 <= len(encoded) <= KEY_BYTES:",
        "    if not 0 <= len(encoded):",
        "unit/test_keys.py::test_a_key_that_no_database_could_hold_is_refused",
    ),
    mutant(
        "the parts of an id are framed",
        "identity.py",
        "    framed = _FRAME.pack(len(name)) + name + _FRAME.pack(len(owner)) + owner + _FRAME.pack(len(key)) + key",
        "    framed = name + owner + key",
        "unit/test_keys.py::test_a_part_cannot_lean_on_the_next",
    ),
    mutant(
        "text can be stored",
        "identity.py",
        '    return text[:length].replace("\\0", "?").encode(errors="replace").decode()',
        "    return text[:length]",
        "unit/test_json.py::test_text_becomes_storable",
    ),
    mutant(
        "an App does not outlive a fork",
        "app.py",
        "        if self._pid != os.getpid():\n            raise AppForked",
        "        if not self._pid:\n            raise AppForked",
        "process/test_app.py::test_an_app_does_not_outlive_a_fork",
        on="sqlite",
    ),
)

DATABASES = (
    mutant(
        "rows that matched are counted",
        "database/mysql_wire.py",
        "                client_flag=FOUND_ROWS,",
        "                client_flag=0,",
        "database/test_conformance.py::TestMariaDB::test_counts_the_rows_that_matched",
    ),
    mutant(
        "a lost answer to COMMIT is unknown",
        "database/postgres_errors.py",
        '    return CommitUnknown(f"no answer to COMMIT',
        '    return StatementError(f"no answer to COMMIT',
        "database/test_postgres_faults.py::test_a_lost_answer_to_commit_is_unknown",
    ),
    mutant(
        "a history that is not ours is refused",
        "database/migrate.py",
        "        if digest != known[number - 1].digest:",
        "        if not digest:",
        "database/test_migrate.py::test_a_history_that_is_not_ours_is_refused",
        on="sqlite",
    ),
    mutant(
        "a migration is recorded with its tables",
        "database/migrate.py",
        "        await tx.execute(Compiled(str(migration), statement, (), tx.dialect))\n"
        "    await _record(migration, tx)",
        "        await tx.execute(Compiled(str(migration), statement, (), tx.dialect))",
        "database/test_migrate.py::test_applies_what_is_missing_once",
        on="sqlite",
    ),
    mutant(
        "work that was not begun is not believed done",
        "database/stepwise.py",
        "        if step is None or not step.is_again or error.sqlstate not in _DONE_ALREADY:",
        "        if step is None or error.sqlstate not in _DONE_ALREADY:",
        "database/test_migrate.py::test_mysql_believes_no_work_done_that_it_has_not_begun",
    ),
    mutant(
        "a step that was begun is known again",
        "database/stepwise.py",
        "        self.is_again = begun > done",
        "        self.is_again = False",
        "database/test_migrate.py::test_mysql_goes_on_after_a_crash_at_any_statement",
    ),
)

ALARMS = (
    mutant(
        "it takes two to resolve where money may have moved",
        "alarm/engine.py",
        "if found.kind in self.second_person and not is_seconded",
        "if found.kind in () and not is_seconded",
        "alarm/test_life.py::test_two_persons_resolve_where_money_may_have_moved",
        on="sqlite",
    ),
    mutant(
        "what was told is not told again",
        "alarm/notify/telling.py",
        "        await self.store.told(tx, events)\n",
        "",
        "alarm/test_delivery.py::test_two_nodes_tell_once",
        on="sqlite",
    ),
    mutant(
        "the messages of an alarm have its id as key",
        "alarm/notify/telling.py",
        ", key=alarm.id.hex())",
        ")",
        "alarm/test_delivery.py::test_nothing_is_lost_and_each_alarm_is_told_in_order",
        on="sqlite",
    ),
    mutant(
        "conflicts do not fold",
        "alarm/rules.py",
        'FOLDED = frozenset({"deadline", "unfit-answer"})',
        'FOLDED = frozenset({"deadline", "unfit-answer", "conflict"})',
        "alarm/test_delivery.py::test_what_an_outage_explains_is_not_told_while_it_lasts",
        on="sqlite",
    ),
    mutant(
        "a name leads nowhere if one of its addresses is inside",
        "alarm/notify/addresses.py",
        "    if refused:\n",
        "    if len(refused) == len(addresses):\n",
        "alarm/test_receivers.py::test_a_name_with_one_address_inside_is_refused",
    ),
    mutant(
        "redirects are not followed",
        "alarm/notify/web.py",
        "allow_redirects=False",
        "allow_redirects=True",
        "alarm/test_receivers.py::test_redirects_are_not_followed",
    ),
    mutant(
        "who writes the audit holds the head of its chain",
        "audit/sql/common.sql",
        "WHERE id = 1\n{for_update}",
        "WHERE id = 1",
        "alarm/test_audit.py::test_concurrent_writers_make_one_chain",
        on="postgres",
    ),
)

MUTANTS = (*OPERATORS, *KEPT, *ONCE, *VALUES, *DATABASES, *ALARMS)
