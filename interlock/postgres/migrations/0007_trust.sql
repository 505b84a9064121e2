-- How far each agent is trusted with each action, and the judgements that made it so.
create table interlock.standings (
    agent text not null,
    action text not null,
    stage text not null check (stage in ('shadow', 'ask', 'act')),
    right_count integer not null default 0 check (right_count >= 0),  -- at this stage
    wrong_count integer not null default 0 check (wrong_count >= 0),
    since timestamptz,  -- null: the stage is where the file lets it begin
    primary key (agent, action)
);

create table interlock.judgements (
    about text primary key,  -- an effect's key or a question's id: only the first judgement about it counts
    agent text not null,
    action text not null,
    was_right boolean not null,
    reason text not null default '',
    stage text not null check (stage in ('shadow', 'ask', 'act')),  -- before the judgement
    judged_at timestamptz not null default clock_timestamp()  -- not when the wait for the standing began
);
create index judgements_pair on interlock.judgements (agent, action, judged_at);
