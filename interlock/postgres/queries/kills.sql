-- throw: throw a switch; no row means that it stands already
insert into interlock.kills (scope, name, reason, thrown_by) values (%(scope)s, %(name)s, %(reason)s, %(who)s)
on conflict (scope, name) where lifted_at is null do nothing returning id;

-- lift: lift a switch that stands
update interlock.kills set lifted_by = %(who)s, lifted_at = clock_timestamp()
where id = %(kill)s and lifted_at is null returning *;

-- note: note what happened with a switch
insert into interlock.kill_events (kill_id, kind, who, why, run_id, thread_id)
values (%(kill)s, %(kind)s, %(who)s, %(why)s, %(run_id)s, %(thread_id)s);

-- tell: let every process look at the switches now
select pg_notify('interlock_kills', '');

-- listen: be told when somebody throws or lifts a switch
listen interlock_kills;

-- standing: the switches that stand
select * from interlock.kills where lifted_at is null order by id;

-- stands_for: the switch that stands for something
select * from interlock.kills where scope = %(scope)s and name = %(name)s and lifted_at is null;

-- kills: all switches, also those that were lifted, the latest first
select * from interlock.kills order by id desc limit %(limit)s;

-- kill: one switch
select * from interlock.kills where id = %(kill)s;

-- kill_events: what happened with a switch
select * from interlock.kill_events where kill_id = %(kill)s order by id;

-- over_run: the first switch that stands over a run
select k.* from interlock.kills_over(%(run_id)s) as o (id) join interlock.kills k using (id) order by k.id limit 1;

-- runs_under: the runs that a switch stands over and that are not ended
select r.run_id, r.thread_id, r.graph, r.status, r.process from interlock.runs r
where r.status in ('queued', 'running', 'waiting') and %(kill)s in (select interlock.kills_over(r.run_id))
    and (r.status <> 'waiting' or r.run_id = interlock.present_run(r.thread_id))  -- what was answered stays as it was
order by r.number;

-- run_by_prefix: the run of this id, or those whose id starts with it
select run_id from interlock.runs where starts_with(run_id, %(prefix)s) order by run_id <> %(prefix)s limit 3;

-- graph_is_known: whether a graph ever ran here
select exists (select from interlock.threads where graph = %(name)s) as known;
