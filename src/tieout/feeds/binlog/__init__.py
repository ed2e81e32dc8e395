"""What MariaDB and MySQL log, as a replica is sent it: events, tables, values, statements; the settings it takes."""
