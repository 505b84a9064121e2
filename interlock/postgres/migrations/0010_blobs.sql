-- Blobs: bytes kept once under their SHA-256, in pieces; who named them; and what was folded of threads.

create table interlock.blobs (
    digest text primary key,  -- SHA-256 in hexadecimal
    size bigint not null,
    upload bigint not null unique,  -- whose pieces it has
    stored_at timestamptz not null default now(),
    touched_at timestamptz not null default now()  -- when it was last stored: what is new is not collected
);

-- A blob that is being stored, or was abandoned on the way.
create table interlock.blob_uploads (
    upload bigint generated always as identity primary key,
    touched_at timestamptz not null default now()
);

create table interlock.blob_pieces (
    upload bigint not null,
    number integer not null,
    cipher text not null default '',  -- the cipher's name where the body is encrypted
    body bytea not null,
    primary key (upload, number)
);
alter table interlock.blob_pieces alter column body set storage external;  -- much of it is compressed already

-- On which threads a blob was stored or named. Written before what names it is; taken away only after a look at all
-- that is left of the thread.
create table interlock.blob_names (
    digest text not null references interlock.blobs on delete cascade,
    thread_id text not null,
    doubtful boolean not null default false,  -- the thread has lost some of what it had
    noted_at timestamptz not null default clock_timestamp(),
    primary key (digest, thread_id)
);
create index blob_names_thread on interlock.blob_names (thread_id);

-- How often something of a thread was folded: who reads it meanwhile reads again.
create table interlock.foldings (
    thread_id text primary key,
    number bigint not null default 1,
    folded_at timestamptz not null default now()
);

-- Which tasks' work a checkpoint took over when the ones before it were folded into it.
create table interlock.folded_tasks (
    thread_id text not null,
    checkpoint_ns text not null,
    checkpoint_id text not null,
    task_id text not null,
    primary key (thread_id, checkpoint_ns, checkpoint_id, task_id)
);
