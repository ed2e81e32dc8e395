"""Guards of comparisons."""

from __future__ import annotations

from tests.mutants.mutant import mutant

COMPARING = "recon/test_comparing.py"
COPIED = "recon/test_copied.py"

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
        "recon/comparing.py",
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
        "a piece ends with a row",
        "database/postgres_copy.py",
        'begun.rfind(b"\\n") + 1',
        "len(begun)",
        f"{COPIED}::test_a_piece_ends_with_a_row_wherever_the_data_is_torn",
    ),
)
