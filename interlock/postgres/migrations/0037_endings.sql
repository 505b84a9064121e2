-- End several runs that have succeeded, as `interlock.finish`, and charge each of those with what it took last, in one step; returned
-- are those that have ended, also where that was committed by an earlier call: whoever lost the answer may ask again.
-- `waits`: for threads that another holds at the moment; otherwise their runs are left out.
create function interlock.finish_charged(
    some_runs text[], some_attempts integer[],
    charge_run text[], charge_kind text[], charge_name text[], charge_steps integer[], charge_seconds double precision[],
    waits boolean
) returns text[] language plpgsql as $$
declare
    its_threads text[];
    its_runs text[];
begin
    if waits then
        select array_agg(held.thread_id) into its_threads from (
            select t.thread_id from interlock.threads t
            where t.thread_id in (select r.thread_id from interlock.runs r where r.run_id = any(some_runs) and r.kind <> 'resume')
            order by t.thread_id for no key update
        ) held;
    else
        select array_agg(held.thread_id) into its_threads from (
            select t.thread_id from interlock.threads t
            where t.thread_id in (select r.thread_id from interlock.runs r where r.run_id = any(some_runs) and r.kind <> 'resume')
            for no key update skip locked
        ) held;
    end if;
    with ended as (
        update interlock.runs r set status = 'succeeded', error = '', error_kind = '', finished_at = clock_timestamp()
        from unnest(some_runs, some_attempts) as g (run_id, attempts)
        where r.run_id = g.run_id and r.attempts = g.attempts and r.status = 'running' and r.thread_id = any(its_threads)
            and not exists (select from interlock.stop_orders o where o.run_id = r.run_id)
            and not exists (select from interlock.questions q where q.thread_id = r.thread_id and q.status = 'open')
        returning r.run_id, r.thread_id
    ), gone as (
        delete from interlock.queue q using ended e where q.run_id = e.run_id returning q.run_id, q.worker_id
    ), noted as (
        insert into interlock.run_events (run_id, thread_id, kind, worker_id)
        select e.run_id, e.thread_id, 'succeeded', coalesce(g.worker_id, '') from ended e left join gone g using (run_id)
    ), quiet as (
        update interlock.timers t set state = 'cancelled', fired_at = clock_timestamp()
        from ended e where t.run_id = e.run_id and t.state = 'set'
    ), touched as (
        update interlock.threads t set updated_at = clock_timestamp() from ended e where t.thread_id = e.thread_id
    )
    select array_agg(e.run_id), array_agg(e.thread_id) into its_runs, its_threads from ended e;
    perform interlock.promote(w.thread_id) from (
        select distinct q.thread_id from interlock.queue q
        where q.thread_id = any(its_threads) and q.worker_id is null and not q.ready
    ) w;
    perform pg_notify('interlock_ended', r.run_id) from unnest(its_runs) as r (run_id);
    -- In one order for all callers, and last: others wait for these rows until this is committed.
    insert into interlock.budgets as b (kind, name, spent)
    select c.kind, c.name, array[0, 0, 0, 0, sum(c.steps), sum(c.seconds::numeric), 0, 0]
    from unnest(charge_run, charge_kind, charge_name, charge_steps, charge_seconds) as c (run_id, kind, name, steps, seconds)
    where c.run_id = any(its_runs)
    group by c.kind, c.name order by c.kind, c.name
    on conflict (kind, name) do update set
        spent = b.spent[:4] || (b.spent[5] + excluded.spent[5]) || (b.spent[6] + excluded.spent[6]) || b.spent[7:],
        -- An index is on the time: it is not written anew for each of many runs.
        updated_at = case when b.updated_at > now() - interval '1 second' then b.updated_at else now() end;
    if cardinality(some_runs) > coalesce(cardinality(its_runs), 0) then
        select array_agg(r.run_id) into its_runs
        from interlock.runs r join unnest(some_runs, some_attempts) as g (run_id, attempts) using (run_id)
        where r.attempts = g.attempts and r.status = 'succeeded';
    end if;
    return coalesce(its_runs, '{}');
end
$$;

-- The flush of a saver's requests, some of which are the last of their runs: those end in the same commit, and are charged. Saved is all
-- of it or nothing; a run that cannot be ended in this way, which is returned as the others are not, is ended by itself afterwards.
create function interlock.ending_flush(
    fence text[],
    seen bigint,
    content_hash bytea[], content_kind smallint[], content_body bytea[],
    reference_holder text[], reference_hash bytea[],
    blob_thread text[], blob_ns text[], blob_channel text[], blob_version text[], blob_type text[], blob_body bytea[],
    write_thread text[], write_ns text[], write_checkpoint text[], write_task text[], write_path text[], write_idx integer[],
    write_channel text[], write_type text[], write_body bytea[], write_over boolean[],
    put_thread text[], put_ns text[], put_checkpoint text[], put_parent text[], put_body text[], put_metadata text[],
    end_run text[], end_attempt integer[],
    charge_run text[], charge_kind text[], charge_name text[], charge_steps integer[], charge_seconds double precision[],
    out present bigint, out ended text[]
) language plpgsql as $$
begin
    present := interlock.fenced_flush(
        fence, seen, content_hash, content_kind, content_body, reference_holder, reference_hash,
        blob_thread, blob_ns, blob_channel, blob_version, blob_type, blob_body,
        write_thread, write_ns, write_checkpoint, write_task, write_path, write_idx,
        write_channel, write_type, write_body, write_over,
        put_thread, put_ns, put_checkpoint, put_parent, put_body, put_metadata
    );
    if present is null then
        ended := interlock.finish_charged(
            end_run, end_attempt, charge_run, charge_kind, charge_name, charge_steps, charge_seconds, false
        );
    end if;
end
$$;
