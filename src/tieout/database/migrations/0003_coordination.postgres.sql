CREATE TABLE tieout_lease (
    name bytea NOT NULL PRIMARY KEY,
    holder text NOT NULL,
    fence bigint NOT NULL,
    until bigint NOT NULL
);

CREATE TABLE tieout_budget (
    name bytea NOT NULL PRIMARY KEY,
    next_at bigint NOT NULL
);
