"""Guards of mirrors: what is pushed, merged, doubted and planned."""

from __future__ import annotations

from tests.mutants.mutant import mutant

MUTANTS = (
    mutant(
        "a pushed message is taken in once",
        "mirror/pushing.py",
        '            if not await self._inbox.once(tx, source, once):\n                return Received("duplicate")\n',
        "            await self._inbox.once(tx, source, once)\n",
        "mirror/test_push.py::test_the_same_message_again_does_nothing",
        on="sqlite",
    ),
    mutant(
        "a number that is left out is seen",
        "mirror/doubts.py",
        "                return sequence > known + 1",
        "                return sequence > known + 10",
        "mirror/test_push.py::test_a_gap_in_the_sequence_has_everything_asked_for",
        on="sqlite",
    ),
    mutant(
        "readers see what is doubtful",
        "mirror/reading.py",
        "(stay.start <= doubt.since)",
        "(stay.start > doubt.since)",
        "mirror/test_push.py::test_a_thin_push_is_a_hint_to_ask",
        on="sqlite",
    ),
    mutant(
        "a part of a cell is taken when it is newer",
        "mirror/rules.py",
        "~partial | (kept.known & newer & ",
        "~partial | (",
        "mirror/test_merge.py::test_some_fields_that_are_not_certainly_newer",
        "mirror/test_merge.py::test_some_fields_of_a_cell_that_is_not_known",
    ),
    mutant(
        "a part of a cell does not open what has no price",
        "mirror/rules.py",
        " & ~_never_present(fields, kept, sighting)",
        "",
        "mirror/test_merge.py::test_a_cell_that_was_never_present_is_not_opened_by_a_part_of_it",
    ),
    mutant(
        "the rest of a cell is doubtful",
        "mirror/rules.py",
        "np.where(takes, not rest_holds, differs)",
        "np.where(takes, rest_holds, differs)",
        "mirror/test_merge.py::test_some_fields_of_a_cell",
    ),
    mutant(
        "fields that were not told are kept",
        "mirror/rules.py",
        "np.where(sighting.told[name], becomes[name], kept.values[name])",
        "becomes[name]",
        "mirror/test_merge.py::test_some_fields_of_a_cell",
    ),
    mutant(
        "an excluded group is not asked for",
        "mirror/schedule.py",
        "is_due = (times > 0) & (oldest < ticks)",
        "is_due = (oldest < ticks)",
        "mirror/test_demand.py::test_a_tier_of_the_hottest",
    ),
    mutant(
        "a message cannot become too long",
        "mirror/ota.py",
        "                if len(changes) > MOST_CHANGES or cells > MOST_CELLS:",
        "                if len(changes) > MOST_CHANGES:",
        "mirror/test_ota.py::test_a_message_that_becomes_too_long_is_refused",
    ),
    mutant(
        "who pushes is its supplier's sender",
        "server/routes/pushes.py",
        "    if supplier not in (site.settings.senders[signed.sender].suppliers or (signed.sender,)):",
        "    if not supplier:",
        "server/test_pushes.py::test_who_may_push_for_whom",
    ),
    mutant(
        "who keeps words is told that they are others",
        "mirror/reading.py",
        "        return words if not needed or words.get(VERSION) == row.version else None",
        "        return words",
        "mirror/test_words.py::test_who_stands_still_between_a_row_and_its_words",
    ),
    mutant(
        "a word that is told again is not unused",
        "mirror/words.py",
        "        self.unused.discard(number)\n",
        "",
        "mirror/test_words.py::test_what_is_told_again_keeps_its_number",
    ),
    mutant(
        "words are written over long after the last cell that names them",
        "mirror/words.py",
        " and now - self.unused_since >= GRACE",
        "",
        "mirror/test_words.py::test_a_number_gets_another_value_once_it_was_unused_for_long_enough",
    ),
    mutant(
        "only who leads forgets what is gone",
        "mirror/forgetting.py",
        "            renewed = await world.leases.guard(tx, lease)",
        "            renewed = lease",
        "mirror/test_forgetting.py::test_who_has_lost_the_lead_forgets_nothing",
    ),
    mutant(
        "what is given up has arrived before the next node asks",
        "mirror/leading.py",
        "        if is_asking:",
        "        if False:",
        "mirror/test_listing.py::test_what_is_given_up_may_be_on_its_way_still",
    ),
)
