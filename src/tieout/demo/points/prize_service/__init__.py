"""A prize service that fails on purpose: somebody else's program, written without tieout and importing nothing of it.

It issues prizes over HTTP, idempotently by key, and tells what became of
them, by signed calls back and, where there is a broker, by messages. What it is to do wrong is
told to it through its own `/plan`: shares of the keys, drawn by a seed, or one behaviour for one key.

    POST /prizes {key, sku, quantity}    issue; the same key again gets the same prize
    GET  /prizes/{key}                   what became of it; 404 with status NOT_FOUND when the key is not known
    POST /plan                           {seed, shares: {aspect: {behaviour: share}}} or {key, aspect: behaviour}
    GET  /status                         counts

Every contradiction is an intent in its own database, called back until acknowledged; once the caller has acknowledged
both claims, it is appended to a file that the caller cannot see.

Run it from the folder above: `python -m prize_service`.
"""
