-- The kill switch: what may not run, who said so and why; and what was stopped by it, which nobody changes afterwards.
create table interlock.kills (
    id bigint generated always as identity primary key,
    scope text not null check (scope in ('run', 'thread', 'graph', 'tenant', 'all')),
    name text not null check ((name = '') = (scope = 'all')),
    reason text not null,
    thrown_by text not null default '',
    thrown_at timestamptz not null default clock_timestamp(),
    lifted_by text not null default '',
    lifted_at timestamptz  -- null: it stands
);
create unique index kills_standing on interlock.kills (scope, name) where lifted_at is null;

create table interlock.kill_events (
    id bigint generated always as identity primary key,
    kill_id bigint not null references interlock.kills,
    kind text not null check (kind in ('thrown', 'lifted', 'stopped')),
    who text not null default '',
    why text not null default '',
    run_id text not null default '',  -- no reference: it stays when the thread is removed
    thread_id text not null default '',
    happened_at timestamptz not null default clock_timestamp()
);
create index kill_events_kill on interlock.kill_events (kill_id, id);

create function interlock.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'rows of % are only added', tg_table_name;
end
$$;
create trigger kill_events_append_only before update or delete on interlock.kill_events
    for each row execute function interlock.refuse_change();
create trigger kill_events_never_emptied before truncate on interlock.kill_events
    for each statement execute function interlock.refuse_change();

-- The run, and before it those that it goes on with because their questions were answered.
create function interlock.chain(a_run text) returns text[] language sql stable as $$
    select array(
        select e.run_id from interlock.runs r join interlock.runs e using (thread_id)
        where r.run_id = a_run and e.number <= r.number and e.number >= (
            select max(b.number) from interlock.runs b
            where b.thread_id = r.thread_id and b.number <= r.number and b.kind <> 'resume'
        )
        order by e.number
    )
$$;

-- The switches that stand over a run.
create function interlock.kills_over(a_run text) returns setof bigint language sql stable as $$
    select k.id from interlock.runs r, interlock.kills k
    where r.run_id = a_run and k.lifted_at is null and case k.scope
        when 'all' then true
        when 'graph' then k.name = r.graph
        when 'thread' then k.name = r.thread_id
        when 'tenant' then k.name = r.context ->> 'tenant'
        when 'run' then k.name = any (interlock.chain(a_run))
    end
    order by k.id
$$;

-- Not validated: what stands there obeyed the narrower one, and reading it all would hold up the workers.
alter table interlock.runs
    drop constraint runs_status_check,
    add constraint runs_status_check
        check (status in ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled', 'killed')) not valid;
