"""Parts for the tests of services that use tieout, and the conformance suites of its contracts."""
