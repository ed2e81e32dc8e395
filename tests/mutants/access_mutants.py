"""Guards of people's log-ins and sessions, of what browsers are made to send, of signed requests, and of who is who."""

from __future__ import annotations

from tests.mutants.mutant import mutant

MUTANTS = (
    mutant(
        "an answer is to the log-in of its browser",
        "server/logins.py",
        '        if not hmac.compare_digest(answer.get("state", "").encode(), state.encode()):',
        '        if not answer.get("state"):',
        "logins/test_logins.py::test_an_answer_counts_in_its_own_browser_only",
    ),
    mutant(
        "an ID token is of this log-in",
        "server/provider.py",
        '        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):',
        '        if not claims.get("nonce"):',
        "logins/test_provider_tokens.py::test_a_forged_id_token_gets_nobody_in",
    ),
    mutant(
        "an ID token is for this client",
        "server/provider.py",
        '            aud={"essential": True, "value": audience},\n',
        '            aud={"essential": True},\n',
        "logins/test_provider_tokens.py::test_a_forged_id_token_gets_nobody_in",
        "logins/test_provider_tokens.py::test_other_tokens_of_the_providers_do_not_count",
    ),
    mutant(
        "a log-in begins one session",
        "access/sessions.py",
        "            await self.store.add(tx, digest(secret), digest(login), name",
        "            await self.store.add(tx, digest(secret), digest(secret + login), name",
        "logins/test_logins.py::test_a_code_is_good_once",
    ),
    mutant(
        "the cookie of a log-in is signed",
        "server/logins.py",
        '        if not hmac.compare_digest(mac, self._derived("cookie", state, began, back)):',
        "        if not mac:",
        "logins/test_logins.py::test_a_log_in_begun_elsewhere_does_not_count",
    ),
    mutant(
        "an unused session ends",
        "access/store.py",
        "self.now < min(self.expires, self.used + idle)",
        "self.now < self.expires",
        "logins/test_sessions.py::test_sessions_end_by_themselves",
    ),
    mutant(
        "another site's page does nothing in a person's name",
        "server/front.py",
        "        if is_foreign or is_untold:",
        "        if is_untold:",
        "logins/test_sessions.py::test_other_sites_cannot_act_in_a_persons_name",
    ),
    mutant(
        "what a browser sends says where it is from",
        "server/front.py",
        "        if is_foreign or is_untold:",
        "        if is_foreign:",
        "logins/test_sessions.py::test_other_sites_cannot_act_in_a_persons_name",
    ),
    mutant(
        "who has no role has no session",
        "access/rules.py",
        "    if not has:\n",
        "    if has is None:\n",
        "logins/test_logins.py::test_who_has_no_role_gets_no_session",
    ),
    mutant(
        "userinfo is of who has logged in",
        "server/provider.py",
        '        if told.get("sub") != claims["sub"]:',
        "        if not told:",
        "logins/test_provider_tokens.py::test_groups_are_asked_for_where_the_id_token_has_none",
    ),
    mutant(
        "a signed request is signed as a whole",
        "wire/http_signatures.py",
        '    if not (COVERED | ({"@query"} if asked.query else set())) <= set(claim.components):',
        '    if "@path" not in claim.components:',
        "unit/test_http_signatures.py::test_nothing_else_counts",
    ),
    mutant(
        "a signed request is of the sender that it names",
        "wire/http_signatures.py",
        "for key in keys.get(params.keyid, ())]",
        "for of_sender in keys.values() for key in of_sender]",
        "unit/test_http_signatures.py::test_nothing_else_counts",
    ),
    mutant(
        "the body is the one whose digest is signed",
        "wire/http_signatures.py",
        " or not _is_digest_right(fields[2][0], asked.body):",
        ":",
        "unit/test_http_signatures.py::test_nothing_else_counts",
    ),
    mutant(
        "all tokens of one owner are one person",
        "alarm/rules.py",
        '        return name.removeprefix("token:").rpartition("/")[0]',
        "        return name",
        "process/test_settle.py::test_the_second_person_is_another_one",
    ),
)
