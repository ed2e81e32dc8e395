"""Many suppliers of hotel rooms that fail on purpose: other companies' program, which imports nothing of tieout.

    GET  /{supplier}/hotels?page=N                                its catalogue; `more` tells that a page follows
    GET  /{supplier}/hotels/{hotel}?first=DAY&days=N&asker=NAME   prices, stock and rules of all rooms of a hotel
    GET  /{supplier}/rooms/{room}?first=DAY&days=N&asker=NAME     the same of one room, when somebody orders

Each counts the queries of the last two in every window of time, and answers more than it allows with 429. What is to
go wrong is told to it through `/plan`. For the auditor, outside every limit: `/truth/{supplier}`, what is true and what
was, and `/figures`. Run it from the folder above: `python -m supplier_service --help`.
"""
