"""The tree of commands, and what becomes of their errors."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from importlib.metadata import version

import cyclopts
import msgspec

from tieout.cli import (
    alarm,
    audit,
    demo,
    doctor,
    exits,
    machine,
    message,
    migrate,
    mirror,
    missing,
    process,
    prove,
    recon,
    recon_breaks,
    recon_live,
    recon_statement,
    routes,
    serve,
    session,
    settling,
    token,
    worker,
)
from tieout.cli.installed import show_versions
from tieout.cli.printing import ready
from tieout.errors import TieoutError, UsageError

root = cyclopts.App(
    name="tieout",
    help="Makes business results agree across systems that share no transaction, and shows that they do.",
    version=lambda: version("tieout"),
    help_format="plaintext",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
process.commands.command(settling.settle)
process.commands.command(missing.missing)
process.commands.command(machine.graph)
process.commands.command(machine.check)
alarm.commands.command(routes.try_route, name="test-route")
for command in (
    recon_live.worker,
    recon_live.status,
    recon_statement.statement,
    recon_breaks.breaks,
    recon_breaks.show,
    recon_breaks.settle,
    recon_breaks.ignore,
    recon_breaks.judge,
    recon_breaks.repair,
):
    recon.commands.command(command)
root.command(serve.serve)
root.command(worker.worker)
root.command(migrate.migrate)
root.command(process.commands)
root.command(alarm.commands)
root.command(audit.commands)
root.command(recon.commands)
root.command(message.commands)
root.command(mirror.commands)
root.command(token.commands)
root.command(session.commands)
root.command(doctor.doctor)
root.command(demo.commands)
root.command(prove.prove)
root.command(show_versions, name="version")


def run(argv: list[str]) -> int:
    """Run one command; return its exit status. What went wrong goes to standard error, with its code."""
    as_json = "--json" in argv
    ready()
    try:
        "".join(argv).encode()
    except UnicodeEncodeError:
        return _tell(UsageError.code, "an argument is no text in UTF-8", exits.USAGE, as_json=as_json)
    try:
        status = root(argv, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except cyclopts.CycloptsError as error:
        return _tell(UsageError.code, f"{error} (see --help)", exits.USAGE, as_json=as_json)
    except TieoutError as error:
        return _tell(error.code, str(error), exits.status_of(error), as_json=as_json)
    except KeyboardInterrupt:
        return exits.SIGNALLED + signal.SIGINT
    except BrokenPipeError:
        # Python flushes standard output once more at its end, and would complain about the same pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.SIGNALLED + signal.SIGPIPE
    except Exception:  # noqa: BLE001 - it is shown whole
        traceback.print_exc()
        return exits.BUG
    return status if isinstance(status, int) else exits.OK


def _tell(code: str, message: str, status: int, *, as_json: bool) -> int:
    if as_json:
        print(msgspec.json.encode({"error": {"code": code, "message": message}}).decode(), file=sys.stderr)
    else:
        print(f"tieout: [{code}] {message}", file=sys.stderr)
    return status
