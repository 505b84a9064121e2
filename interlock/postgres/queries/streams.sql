-- write: add events of runs to the log, each run's behind those it has, and tell who listens; a run whose worker was removed, or that another attempt writes, gets none
with alive as materialized (  -- held against the removal of a worker until this is committed
    select w.worker_id from interlock.workers w
    where w.worker_id = any(%(workers)s::text[]) order by w.worker_id for key share
), given as materialized (
    select g.run_id, g.thread_id, g.attempt, g.written, g.events, a.worker_id is not null as alive
    from unnest(
        %(runs)s::text[], %(threads)s::text[], %(attempts)s::int[], %(written)s::int[], %(events)s::int[], %(workers)s::text[]
    ) as g (run_id, thread_id, attempt, written, events, worker_id)
    left join alive a using (worker_id)
), head as (
    insert into interlock.streams as s (run_id, thread_id, attempt, written, last_id)
    select g.run_id, g.thread_id, g.attempt, g.written, g.events + greatest(
        (extract(epoch from clock_timestamp()) * 1000000)::bigint,
        (select max(o.last_id) from interlock.streams o where o.thread_id = g.thread_id)
    )
    from given g join interlock.runs r using (run_id) where g.alive
    on conflict (run_id) do update
        set attempt = excluded.attempt, written = excluded.written, last_id = excluded.last_id
        where (s.attempt, s.written) < (excluded.attempt, excluded.written)
    returning s.run_id, s.thread_id, s.last_id
), body as (
    insert into interlock.stream_events (run_id, id, thread_id, event, cipher, data)
    select h.run_id, h.last_id - g.events + e.place, h.thread_id, e.event, e.cipher, e.data
    from unnest(
        %(event_run)s::text[], %(event_place)s::int[], %(event_name)s::text[], %(event_cipher)s::text[], %(event_data)s::bytea[]
    ) as e (run_id, place, event, cipher, data)
    join head h using (run_id) join given g using (run_id)
)
select g.run_id, g.alive, case when h.run_id is not null then pg_notify('interlock_streams', g.run_id || ' ' || g.thread_id) end
from given g left join head h using (run_id);

-- tell: tell who listens that something happened to a run that writes nothing
select pg_notify('interlock_streams', %(run_id)s || ' ' || %(thread_id)s);

-- listen: be told when something was written
listen interlock_streams;

-- listen_ended: be told when a run has ended or waits
listen interlock_ended;

-- threads_of: the threads of some runs, of those threads that are looked at
select distinct thread_id from interlock.runs where run_id = any(%(runs)s) and thread_id = any(%(threads)s);

-- look: how a run stands, and the events behind a place, as many as fit a page; what it stands at is not newer than they are
select r.run_id, r.thread_id, r.status, r.error, r.error_kind, e.id, e.event, e.cipher, e.data
from interlock.runs r left join lateral (
    select c.* from (
        select p.*, sum(octet_length(p.data)) over (order by p.id) - octet_length(p.data) as before
        from (
            select s.id, s.event, s.cipher, s.data from interlock.stream_events s
            where s.run_id = r.run_id and s.id > %(after)s order by s.id limit %(most)s
        ) p
    ) c where c.before < %(bytes)s
) e on true
where r.run_id = %(run_id)s order by e.id;

-- note_state: note that a thread's state was written from outside, behind all that it has told, and tell who listens
with noted as (
    insert into interlock.state_updates (thread_id, id, checkpoint_id)
    select %(thread_id)s, greatest(
        (extract(epoch from clock_timestamp()) * 1000000)::bigint,
        1 + (select max(s.last_id) from interlock.streams s where s.thread_id = %(thread_id)s),
        1 + (select max(u.id) from interlock.state_updates u where u.thread_id = %(thread_id)s)
    ), %(checkpoint_id)s
    returning thread_id
)
select pg_notify('interlock_streams', ' ' || thread_id) from noted;

-- look_at_thread: the events of a thread's runs behind a place, their ends, and what was written to its state, as many as fit a page
select c.* from (
    select p.*, sum(octet_length(p.data)) over (order by p.id) - octet_length(p.data) as before
    from (
        (
            select s.id, s.run_id, s.event, s.cipher, s.data from interlock.stream_events s
            where s.thread_id = %(thread_id)s and s.id > %(after)s order by s.id limit %(most)s
        ) union all (
            select f.id, f.run_id, '', '', '' from (
                select r.run_id,
                    1 + greatest((extract(epoch from r.finished_at) * 1000000)::bigint, s.last_id) as id
                from interlock.runs r left join interlock.streams s using (run_id)
                where r.thread_id = %(thread_id)s and r.finished_at is not null
            ) f where f.id > %(after)s order by f.id limit %(most)s
        ) union all (
            select u.id, '', 'state_update', '', convert_to(json_build_object('checkpoint_id', u.checkpoint_id)::text, 'UTF8')
            from interlock.state_updates u
            where u.thread_id = %(thread_id)s and u.id > %(after)s order by u.id limit %(most)s
        ) order by id limit %(most)s
    ) p
) c where c.before < %(bytes)s order by c.id;

-- newest: the place behind all that a thread has told, and behind now
select greatest(
    (extract(epoch from clock_timestamp()) * 1000000)::bigint,
    (select max(s.last_id) from interlock.streams s where s.thread_id = %(thread_id)s),
    (select max(u.id) from interlock.state_updates u where u.thread_id = %(thread_id)s)
) as id;

-- beginning: the place before the run that a place is in; without one, before the run that a thread is at
with at as (
    (
        select e.run_id from interlock.stream_events e
        where e.thread_id = %(thread_id)s and e.id <= %(place)s order by e.id desc limit 1
    ) union all (
        select r.run_id from interlock.runs r where r.thread_id = %(thread_id)s and %(place)s::bigint is null
        order by r.finished_at is null desc, case when r.finished_at is null then -r.number end desc, r.number desc limit 1
    )
)
select coalesce(
    (select min(e.id) - 1 from interlock.stream_events e join at using (run_id)),
    (
        select max(1 + greatest((extract(epoch from r.finished_at) * 1000000)::bigint, s.last_id))
        from interlock.runs r left join interlock.streams s using (run_id)
        where r.thread_id = %(thread_id)s and r.run_id not in (select run_id from at) and %(place)s::bigint is null
    ),
    0
) as id;

-- thread: whether there is a thread
select thread_id from interlock.threads where thread_id = %(thread_id)s;

-- forget: remove the events of runs that ended some hours ago
delete from interlock.streams s using (
    select o.run_id from interlock.streams o join interlock.runs r using (run_id)
    where o.begun_at < clock_timestamp() - make_interval(secs => %(seconds)s)
        and r.finished_at < clock_timestamp() - make_interval(secs => %(seconds)s)
    order by o.begun_at limit %(most)s for update of o skip locked
) old where s.run_id = old.run_id;

-- forget_states: remove what was noted some hours ago of states that were written
delete from interlock.state_updates
where id < (extract(epoch from clock_timestamp() - make_interval(secs => %(seconds)s)) * 1000000)::bigint;

-- hurry: let no commit of this session wait for the disk
select set_config('synchronous_commit', 'off', false);
