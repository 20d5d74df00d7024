-- What the engine itself keeps: instance values, counters, the change feed, jobs.

-- Values of this installation: one-way latches, measured parameters, ids.
CREATE TABLE instance (
    key @text NOT NULL PRIMARY KEY CHECK (length(key) <= 200),
    value @text NOT NULL
);

CREATE TABLE counters (
    name @text NOT NULL PRIMARY KEY CHECK (length(name) <= 200),
    value @int NOT NULL
);
INSERT INTO counters(name, value) VALUES ('changes', 0);

-- seq has no gaps and follows the order of commits: it comes from the counter 'changes'.
CREATE TABLE changes (
    seq @int NOT NULL PRIMARY KEY,
    at @time NOT NULL,
    topic @text NOT NULL,
    subject @text NOT NULL
);
CREATE INDEX changes_at_idx ON changes(at);

-- A job is open until done_at or dead_at is set. Whoever works on it holds a lease until leased_until.
CREATE TABLE jobs (
    id @id NOT NULL PRIMARY KEY,
    kind @text NOT NULL,
    unique_key @text CHECK (length(unique_key) <= 600),
    payload @json NOT NULL,
    run_at @time NOT NULL,
    attempts @int NOT NULL,
    max_attempts @int NOT NULL,
    leased_until @time,
    leased_by @text,
    last_error @text,
    done_at @time,
    dead_at @time,
    created_at @time NOT NULL
);
CREATE UNIQUE INDEX jobs_unique_key_key ON jobs(unique_key);
CREATE INDEX jobs_run_at_idx ON jobs(run_at, id) WHERE done_at IS NULL AND dead_at IS NULL;
CREATE INDEX jobs_done_at_idx ON jobs(done_at) WHERE done_at IS NOT NULL;
