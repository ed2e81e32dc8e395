"""Process types that cannot work as they are written, each refused with what is wrong."""

from __future__ import annotations

import types
from typing import Annotated, Any

import pytest

import tieout
from tests.unit.kinds import Order, Prize
from tieout import Answer, App, DefinitionError, Failed, Next, Sending, Transaction
from tieout.process.process import type_of


async def begin(self, tx: Transaction) -> Next: ...


async def issue(self, send: Sending, sku: str) -> Answer[Prize]: ...


async def find(self, send: Sending, sku: str) -> Any: ...


async def done(self, tx: Transaction, prize: Prize) -> Next: ...


async def undone(self, tx: Transaction, why: Failed) -> Next: ...


def plain(self, *args: Any) -> Any: ...


def call(method=issue, query=find, succeeded=done, failed=undone, **options):
    """A call step and its methods; None leaves one out."""
    made = tieout.call(**({"timeout": 1} | options))(method)
    if query:
        made.query(query)
    if succeeded:
        made.succeeded(to="completed")(succeeded)
    if failed:
        made.failed(to="completed")(failed)
    return made


def define(*, hints=None, arguments=None, without=(), **members):
    """Compile a sound type in which these members and class arguments are others."""
    arguments = {"name": "redeem", "key": "request_id"} | (arguments or {})
    body = {
        "__annotations__": {"request_id": str, "user": str, **(hints or {})},
        "__module__": __name__,
        "completed": tieout.Final[Prize](),
        "issue": call(),
        "begin": tieout.start(to="issue")(begin),
    } | members
    body = {name: value for name, value in body.items() if name not in without}
    return type_of(types.new_class("Redeem", (tieout.Process,), arguments, lambda scope: scope.update(body)))


def test_the_sound_type_is_sound():
    """What the tests below spoil can be defined."""
    assert define().name == "redeem"


@pytest.mark.parametrize("name", [None, "", "é", "a b", "a/b", "x" * 64, "-", "a\n"])
def test_a_type_needs_a_name(name):
    """A name is 1 to 63 ASCII letters, digits and a few signs: it is stored, and a label of metrics."""
    with pytest.raises(DefinitionError, match="name"):
        define(arguments={"name": name})


@pytest.mark.parametrize("key", [None, "gone", "number", "optional", "hidden"])
def test_the_key_is_a_str_that_every_request_has(key):
    """The key field is a param of type str, neither volatile nor with a default."""
    hints = {"number": int, "optional": str, "hidden": Annotated[str, tieout.volatile]}
    with pytest.raises(DefinitionError, match="key"):
        define(arguments={"key": key}, hints=hints, optional="o")


@pytest.mark.parametrize("owner", ["gone", "number", "optional", "hidden"])
def test_the_owner_is_a_str_that_every_request_has(owner):
    """The owner field is held to the same."""
    hints = {"number": int, "optional": str, "hidden": Annotated[str, tieout.volatile]}
    with pytest.raises(DefinitionError, match="owner"):
        define(arguments={"owner": owner}, hints=hints, optional="o")


@pytest.mark.parametrize("version", [0, -1, 1.5, "1", None])
def test_a_version_is_a_whole_number(version):
    """Versions are compared, and begin with 1."""
    with pytest.raises(DefinitionError, match="version"):
        define(arguments={"version": version})


@pytest.mark.parametrize("deadline", ["soon", -1, "5"])
def test_a_deadline_is_a_duration(deadline):
    """A deadline that is none is refused when the type is defined."""
    with pytest.raises(DefinitionError, match="deadline"):
        define(arguments={"deadline": deadline})


@pytest.mark.parametrize("option", ["timeout", "query_after", "settle", "key_valid", "retry_cap"])
@pytest.mark.parametrize("value", ["soon", -1, float("nan")])
def test_the_limits_of_a_call_are_durations(option, value):
    """A limit that is no duration is refused, and named with its call."""
    with pytest.raises(DefinitionError, match=rf"redeem\.issue: {option}"):
        define(issue=call(**{option: value}))


@pytest.mark.parametrize(
    "name", ["id", "deps", "identity", "looked_up", "bound_deps", "tieout_type_", "completed", "issue"]
)
def test_a_param_cannot_hide_what_a_process_has(name):
    """A param under a name that the process itself needs would be lost in silence."""
    with pytest.raises(DefinitionError, match=name):
        define(hints={name: str})


@pytest.mark.parametrize("hint", ["Missing", "list[Missing]"])
def test_types_of_params_have_to_be_known(hint):
    """An annotation that cannot be resolved is refused with advice."""
    with pytest.raises(DefinitionError, match="Missing"):
        define(hints={"extra": hint})


@pytest.mark.parametrize("hint", [object.__subclasshook__, type(lambda: None), int | float | list[int] | set[str]])
def test_types_of_params_have_to_be_storable(hint):
    """A type that JSON cannot hold, or cannot tell apart, is refused when the class is compiled."""
    with pytest.raises(DefinitionError):
        define(hints={"extra": hint})


def test_exactly_one_start():
    """A process begins in one way."""
    with pytest.raises(DefinitionError, match=r"exactly one @tieout\.start"):
        define(without=["begin"])
    with pytest.raises(DefinitionError, match=r"exactly one @tieout\.start"):
        define(again=tieout.start(to="issue")(begin))


def test_at_least_one_final():
    """A process that can never end is refused."""
    with pytest.raises(DefinitionError, match=r"final state|to="):
        define(without=["completed"])


@pytest.mark.parametrize("to", ["nowhere", (), ("issue", "nowhere")])
def test_steps_lead_to_states_that_exist(to):
    """`to=` names calls and finals of the type, at least one."""
    with pytest.raises(DefinitionError, match="to="):
        define(begin=tieout.start(to=to)(begin))


def test_every_state_can_be_reached():
    """A state that no other step leads to is a mistake."""
    with pytest.raises(DefinitionError, match="lost"):
        define(lost=tieout.Final[str]())
    with pytest.raises(DefinitionError, match="issue"):
        define(begin=tieout.start(to="completed")(begin))


@pytest.mark.parametrize("left_out", ["succeeded", "failed"])
def test_a_call_needs_both_ways_on(left_out):
    """A call that succeeds or fails has to lead on."""
    with pytest.raises(DefinitionError, match=r"@issue\.succeeded and @issue\.failed"):
        define(issue=call(**{left_out: None}))


def test_a_call_may_do_without_a_query():
    """Then it is sent again with the same key."""
    assert define(issue=call(query=None)).calls["issue"].query is None


async def no_send(self): ...


async def many(self, send: Sending, *args: str) -> Answer[Prize]: ...


async def named(self, send: Sending, **args: str) -> Answer[Prize]: ...


@pytest.mark.parametrize("method", [no_send, many, named])
def test_a_call_takes_named_arguments(method):
    """What is sent is stored by name, so that a call takes (self, send, ...) and names."""
    with pytest.raises(DefinitionError):
        define(issue=call(method, query=None))


async def other_arguments(self, send: Sending, item: str) -> Any: ...


async def more_arguments(self, send: Sending, sku: str, more: int) -> Any: ...


@pytest.mark.parametrize("query", [other_arguments, more_arguments, no_send])
def test_a_query_takes_the_arguments_of_its_call(query):
    """Both are given what was stored."""
    with pytest.raises(DefinitionError, match="same arguments"):
        define(issue=call(query=query))


async def unsaid(self, send: Sending, sku: str): ...


async def anything(self, send: Sending, sku: str) -> Any: ...


@pytest.mark.parametrize("method", [unsaid, anything])
def test_a_call_says_what_its_success_is(method):
    """Without the type of the answer nobody could tell garbage from success."""
    with pytest.raises(DefinitionError, match="Answer"):
        define(issue=call(method))


def test_an_echo_names_an_argument():
    """What an answer is compared with has to be sent."""
    with pytest.raises(DefinitionError, match="echo"):
        define(issue=call(echo={"sku": "item"}))


@pytest.mark.parametrize("lane", ["a b", "x" * 64, "é"])
def test_a_lane_is_a_name(lane):
    """A lane is stored, and a label of metrics."""
    with pytest.raises(DefinitionError, match="lane"):
        define(issue=call(lane=lane))


def test_transaction_steps_are_async():
    """On an event loop a plain function would block everybody."""
    for spoilt in (
        {"begin": tieout.start(to="issue")(plain)},
        {"issue": call(succeeded=plain)},
        {"issue": call(failed=plain)},
    ):
        with pytest.raises(DefinitionError, match="async"):
            define(**spoilt)


@pytest.mark.parametrize("cls", [str, tieout.Process, 5, Order(request_id="r", user="u")])
def test_only_a_process_type_can_be_registered(cls):
    """Whatever else is registered is refused."""
    with pytest.raises(DefinitionError):
        App("sqlite://").register(cls)


def test_a_name_belongs_to_one_class():
    """Two types of one name would read each other's rows."""
    app = App("sqlite://")
    app.register(define().cls)
    with pytest.raises(DefinitionError, match="two process types"):
        app.register(define().cls)


def test_a_type_may_be_registered_twice():
    """The same class again is no mistake."""
    app = App("sqlite://")
    assert app.register(app.register(Order)) is Order


def test_a_type_that_is_not_sound_cannot_make_a_request():
    """A class that nobody registered is checked when its first instance is made."""
    unsound = types.new_class("Unsound", (tieout.Process,), {"name": "unsound", "key": "k"})
    with pytest.raises(DefinitionError):
        unsound(k="r")
