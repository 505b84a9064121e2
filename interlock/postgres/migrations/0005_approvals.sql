-- The life of a question: who may answer it, how many must agree, by when, and everything that happened to it.
alter table interlock.questions
    add column kind text not null default '',  -- approval or in_doubt; empty for another application's interrupt
    add column effect text not null default '',
    add column looked_up boolean not null default false,  -- the gate finds the answer here, so it is never asked anew
    add column assignees text[] not null default '{}',  -- empty: anybody
    add column needed integer not null default 1 check (needed > 0),
    add column terms jsonb not null default '{}',
    add column verdict jsonb not null default '{}',
    add column level integer not null default 0,
    add column deadline timestamptz,
    add column remind_at timestamptz,
    add column escalate_at timestamptz,
    add column proposed jsonb,  -- the arguments after an edit that others must agree to
    add column votes jsonb not null default '[]',
    add column granted text not null default '',  -- SHA-256 of the action with the arguments that were permitted
    add column number bigint generated always as identity,  -- the order in which one step asked them
    add column answered_run text not null default '';  -- the run that goes on with the answer
create index questions_timed on interlock.questions (least(deadline, remind_at, escalate_at)) where status = 'open';
create index questions_effect on interlock.questions (effect) where effect <> '';

-- The history of questions, and the outbox of what is told about them: rows of the transaction that they tell of.
create table interlock.question_events (
    id bigint generated always as identity primary key,
    question_id text not null references interlock.questions on update cascade on delete cascade,
    kind text not null,
    who text not null default '',
    detail jsonb not null default '{}',
    happened_at timestamptz not null default now()
);
create index question_events_question on interlock.question_events (question_id, id);

create table interlock.notifications (
    id bigint generated always as identity primary key,
    event_id bigint not null references interlock.question_events on delete cascade,
    target text not null,  -- a fingerprint: addresses may be secret, and are never stored
    name text not null,  -- as it is shown
    status text not null default 'waiting' check (status in ('waiting', 'sent', 'failed', 'outdated')),
    tries integer not null default 0,
    error text not null default '',
    due_at timestamptz not null default now(),
    sent_at timestamptz,
    unique (event_id, target)
);
create index notifications_due on interlock.notifications (due_at) where status = 'waiting';
create index question_events_answers on interlock.question_events (happened_at) where kind in ('answered', 'expired');
