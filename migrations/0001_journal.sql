-- The journal: what happened, in order, and what is derived from it in the same transaction.
-- Times are microseconds since 1970-01-01T00:00:00Z, durations microseconds.

-- One row per rollout, folded from its events.
CREATE TABLE rollouts (
    id             TEXT    NOT NULL PRIMARY KEY,
    name           TEXT    NOT NULL,
    target_version TEXT    NOT NULL,
    accepted_at    INTEGER NOT NULL,
    state          TEXT    NOT NULL
        CHECK (state IN ('running', 'paused', 'aborted', 'succeeded', 'failed')),
    ended          INTEGER NOT NULL CHECK (ended IN (0, 1)),
    plan_seq       INTEGER NOT NULL,   -- the event whose plan is in force
    seq            INTEGER NOT NULL,   -- the last event folded in
    folded_by      TEXT    NOT NULL,   -- program version; another one folds the log anew
    record         TEXT    NOT NULL    -- JSON: the rest of the fold
) STRICT;
CREATE INDEX rollouts_by_name ON rollouts (name, accepted_at);

-- The log itself.
CREATE TABLE events (
    seq       INTEGER NOT NULL PRIMARY KEY,
    rollout   TEXT    NOT NULL REFERENCES rollouts (id),
    at        INTEGER NOT NULL,
    appliance TEXT,                    -- absent: the rollout as a whole
    kind      TEXT    NOT NULL,
    schema    INTEGER NOT NULL,        -- version of the payload's shape
    payload   TEXT    NOT NULL         -- JSON
) STRICT;
CREATE INDEX events_by_rollout ON events (rollout, seq);
CREATE INDEX events_by_appliance ON events (rollout, appliance, seq) WHERE appliance IS NOT NULL;

CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never changed');
END;
CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never removed');
END;

-- One row per member of a rollout, folded from its events.
CREATE TABLE appliances (
    rollout   TEXT    NOT NULL REFERENCES rollouts (id),
    name      TEXT    NOT NULL,
    site      TEXT    NOT NULL,
    wave      TEXT    NOT NULL,
    phase     TEXT    NOT NULL,
    since     INTEGER NOT NULL,
    hold_code TEXT,
    record    TEXT    NOT NULL,        -- JSON: the whole fold of this appliance
    PRIMARY KEY (rollout, name)
) STRICT;

-- How long each step took: estimates of later rollouts come from here.
CREATE TABLE durations (
    seq       INTEGER NOT NULL PRIMARY KEY REFERENCES events (seq),   -- the event that ended it
    appliance TEXT    NOT NULL,
    site      TEXT    NOT NULL,
    step      TEXT    NOT NULL,
    took      INTEGER NOT NULL
) STRICT;

-- Passwords that an appliance refused and nobody has said `retry` since, in the order of refusal.
CREATE TABLE logins_refused (
    position    INTEGER NOT NULL PRIMARY KEY,
    appliance   TEXT    NOT NULL,
    credential  TEXT    NOT NULL,
    fingerprint INTEGER NOT NULL,
    UNIQUE (appliance, credential)
) STRICT;

-- Login definitions that have worked somewhere.
CREATE TABLE logins_proven (
    position   INTEGER NOT NULL PRIMARY KEY,
    credential TEXT    NOT NULL UNIQUE
) STRICT;
