-- What goes beyond single appliances: hooks, what appliances call themselves, halted rollouts.

-- Whether a cluster of it is half upgraded; `state` then says `running`.
ALTER TABLE rollouts ADD COLUMN halted INTEGER NOT NULL DEFAULT 0 CHECK (halted IN (0, 1));

-- One row per hook that has begun, folded from the events: a rollout may have very many.
CREATE TABLE hooks (
    rollout TEXT NOT NULL REFERENCES rollouts (id),
    kind    TEXT NOT NULL,
    around  TEXT NOT NULL,             -- the appliance, cluster or wave
    record  TEXT NOT NULL,             -- JSON: the whole fold of this hook
    PRIMARY KEY (rollout, kind, around)
) STRICT;

-- The host name that each appliance last said in a preflight, over all rollouts.
CREATE TABLE hostnames (
    appliance TEXT NOT NULL PRIMARY KEY,
    hostname  TEXT NOT NULL
) STRICT;

INSERT INTO hostnames (appliance, hostname)
SELECT appliance, payload ->> '$.preflighted.hostname' FROM events
WHERE kind = 'preflighted' AND payload ->> '$.preflighted.hostname' IS NOT NULL
ORDER BY seq
ON CONFLICT (appliance) DO UPDATE SET hostname = excluded.hostname;
