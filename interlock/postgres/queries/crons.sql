-- set: make a cron, or change it; what it did stays
insert into interlock.crons (name, graph, input_type, input, schedule, zone, catch_up, thread_id, context, options, enabled, next_at, created_by)
values (
    %(name)s, %(graph)s, %(input_type)s, %(input)s, %(schedule)s, %(zone)s, %(catch_up)s, %(thread_id)s, %(context)s, %(options)s, %(enabled)s,
    %(next_at)s, %(created_by)s
)
on conflict (name) do update
set graph = excluded.graph, input_type = excluded.input_type, input = excluded.input, schedule = excluded.schedule, zone = excluded.zone, catch_up = excluded.catch_up,
    thread_id = excluded.thread_id, context = excluded.context, options = excluded.options, enabled = excluded.enabled,
    next_at = excluded.next_at, revision = crons.revision + 1, changed_at = clock_timestamp()
returning *;

-- hold: one cron, held until the end of the transaction
select *, interlock.clock() as now from interlock.crons where name = %(name)s for update;

-- hold_or_skip: the same, unless somebody else is at it
select * from interlock.crons where name = %(name)s for update skip locked;

-- clock: what time it is for crons
select interlock.clock() as now;

-- switch: pause a cron, or let it go on
update interlock.crons
set enabled = %(enabled)s, next_at = %(next_at)s, revision = revision + 1, changed_at = clock_timestamp()
where name = %(name)s
returning *;

-- move: note when a cron is due next
update interlock.crons set next_at = %(next_at)s where name = %(name)s;

-- unset: cancel what is set for a cron
update interlock.timers set state = 'cancelled', fired_at = interlock.clock() where cron = %(name)s and state = 'set';

-- remove: forget a cron, and what it did
delete from interlock.crons where name = %(name)s;

-- crons: all of them, or one
select * from interlock.crons where %(name)s::text is null or name = %(name)s order by name;

-- begin: a cron does something at one of its times; no row means that it did before
insert into interlock.cron_firings (cron, due_at, outcome) values (%(cron)s, %(due_at)s, 'submitted')
on conflict (cron, due_at) do nothing
returning cron;

-- end: what it did
update interlock.cron_firings set outcome = %(outcome)s, run_id = %(run_id)s, thread_id = %(thread_id)s, detail = %(detail)s
where cron = %(cron)s and due_at = %(due_at)s;

-- firings: what a cron did lately, newest first
select * from interlock.cron_firings where cron = %(name)s order by due_at desc limit %(limit)s;

-- search: crons that clients of the server made, a page of those that fit
select * from interlock.crons
where context ? 'client' and (%(name)s::text is null or name = %(name)s)
    and (%(assistant_id)s::text is null or context -> 'client' ->> 'assistant_id' = %(assistant_id)s)
    and (%(thread_id)s::text is null or thread_id = %(thread_id)s)
    and (%(enabled)s::boolean is null or enabled = %(enabled)s)
    and coalesce(context -> 'client' -> 'metadata', '{}') @> %(metadata)s
order by
    case when %(sort)s = 'created_at desc' then created_at end desc,
    case when %(sort)s = 'created_at asc' then created_at end,
    case when %(sort)s = 'updated_at desc' then changed_at end desc,
    case when %(sort)s = 'updated_at asc' then changed_at end,
    case when %(sort)s = 'next_run_date desc' then next_at end desc nulls last,
    case when %(sort)s = 'next_run_date asc' then next_at end,
    case when %(sort)s = 'end_time desc' then context ->> 'until' end desc nulls last,
    case when %(sort)s = 'end_time asc' then context ->> 'until' end,
    case when %(sort)s = 'thread_id desc' then thread_id end desc,
    case when %(sort)s = 'thread_id asc' then thread_id end,
    case when %(sort)s = 'assistant_id desc' then context -> 'client' ->> 'assistant_id' end desc,
    case when %(sort)s = 'assistant_id asc' then context -> 'client' ->> 'assistant_id' end,
    case when %(sort)s = 'cron_id desc' then name end desc,
    name
limit %(limit)s offset %(offset)s;

-- count: how many of them fit
select count(*)::int as count from interlock.crons
where context ? 'client' and (%(name)s::text is null or name = %(name)s)
    and (%(assistant_id)s::text is null or context -> 'client' ->> 'assistant_id' = %(assistant_id)s)
    and (%(thread_id)s::text is null or thread_id = %(thread_id)s)
    and (%(enabled)s::boolean is null or enabled = %(enabled)s)
    and coalesce(context -> 'client' -> 'metadata', '{}') @> %(metadata)s;
