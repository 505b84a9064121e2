-- How far a thread has come: it differs when a run has made a step, or a task of one, since.
create function interlock.progress(a_thread text) returns text language sql stable as $$
    select coalesce(l.checkpoint_id, '') || ':' || (
        select count(*) from checkpoint_writes w where w.thread_id = a_thread and w.checkpoint_id >= l.checkpoint_id
    )
    from (select max(c.checkpoint_id) as checkpoint_id from checkpoints c where c.thread_id = a_thread) l
$$;

-- The sessions that hold the lock of a worker's name.
create function interlock.sessions_of(a_worker text) returns setof integer language sql stable as $$
    select pid from pg_locks
    where locktype = 'advisory' and granted and objsubid = 1
        and database = (select oid from pg_database where datname = current_database())
        and classid = (hashtextextended(a_worker, 7919) >> 32 & 4294967295)::oid
        and objid = (hashtextextended(a_worker, 7919) & 4294967295)::oid
$$;

-- Remove a worker and let others take its runs on. When it died of one of them (`charge`), each that made no step since it was
-- claimed is a suspect; where one was a suspect already, those beside it are not. Which runs it had is returned, and which of
-- them are dead by now. Whoever calls it holds the worker's row. Locks are taken in one order: threads, queue, runs.
create function interlock.take_over(a_worker text, charge boolean, most_crashes integer)
returns table (run_id text, thread_id text, crashes integer, is_dead boolean) language plpgsql as $$
declare
    it record;
    ordered record;
    suspected boolean;
begin
    perform from interlock.threads t
    where t.thread_id in (select q.thread_id from interlock.queue q where q.worker_id = a_worker)
    order by t.thread_id for no key update;
    perform from interlock.queue q where q.worker_id = a_worker order by q.run_id for update;
    suspected := exists (
        select from interlock.queue q
        where q.worker_id = a_worker and q.crashes > 0 and q.crashed_at = interlock.progress(q.thread_id)
    );
    for it in
        select q.*, interlock.progress(q.thread_id) as at from interlock.queue q where q.worker_id = a_worker order by q.run_id
    loop
        run_id := it.run_id;
        thread_id := it.thread_id;
        select o.kind, o.reason, o.ordered_by into ordered from interlock.stop_orders o where o.run_id = it.run_id;
        if found then  -- whoever was to stop it is gone
            crashes := 0;
            is_dead := false;
            perform interlock.note_run(it.run_id, it.thread_id, 'lost', a_worker, '{}');
            perform interlock.cancel_run(it.run_id, ordered.kind, ordered.reason, ordered.ordered_by);
            return next;
            continue;
        end if;
        crashes := case
            when not charge then it.crashes
            when it.crashes > 0 and it.crashed_at = it.at then it.crashes + 1
            when suspected then 0
            else 1
        end;
        is_dead := charge and crashes >= most_crashes;
        update interlock.runs r set
            status = case when is_dead then 'dead' else 'queued' end,
            error = case when is_dead
                then 'Its worker died ' || crashes || ' times in a row before the run had made a step.'
                else 'Its worker was lost.' end,
            error_kind = case when is_dead then 'poison' else 'lost' end,
            finished_at = case when is_dead then clock_timestamp() end
        where r.run_id = it.run_id and r.status = 'running';
        if not found or is_dead then
            delete from interlock.queue q where q.run_id = it.run_id;
        else
            update interlock.queue q
            set worker_id = null, claimed_at = null, ready = true, crashes = take_over.crashes, crashed_at = it.at
            where q.run_id = it.run_id;
        end if;
        insert into interlock.run_events (run_id, thread_id, kind, worker_id, detail) values (
            it.run_id, it.thread_id, case when is_dead then 'dead' else 'lost' end, a_worker,
            jsonb_build_object('crashes', crashes, 'charged', charge)
        );
        if is_dead then
            delete from interlock.stop_orders o where o.run_id = it.run_id;
            perform interlock.promote(it.thread_id);
            perform pg_notify('interlock_ended', it.run_id);
        end if;
        return next;
    end loop;
    delete from interlock.workers w where w.worker_id = a_worker;
    perform pg_notify('interlock_queue', '');
end
$$;

-- The flush of a worker's savers: refused when one of the workers whose runs wrote was removed, and held against that until
-- it is committed.
create function interlock.fenced_flush(
    fence text[],
    seen bigint,
    content_hash bytea[], content_kind smallint[], content_body bytea[],
    reference_holder text[], reference_hash bytea[],
    blob_thread text[], blob_ns text[], blob_channel text[], blob_version text[], blob_type text[], blob_body bytea[],
    write_thread text[], write_ns text[], write_checkpoint text[], write_task text[], write_path text[], write_idx integer[],
    write_channel text[], write_type text[], write_body bytea[], write_over boolean[],
    put_thread text[], put_ns text[], put_checkpoint text[], put_parent text[], put_body text[], put_metadata text[]
) returns bigint
language plpgsql as $$
declare
    found_here integer;
begin
    perform from interlock.workers where worker_id = any(fence) for key share;
    get diagnostics found_here = row_count;
    if found_here < cardinality(fence) then
        raise exception 'the worker was removed' using errcode = 'IL001';
    end if;
    return checkpoint_flush(
        seen, content_hash, content_kind, content_body, reference_holder, reference_hash,
        blob_thread, blob_ns, blob_channel, blob_version, blob_type, blob_body,
        write_thread, write_ns, write_checkpoint, write_task, write_path, write_idx,
        write_channel, write_type, write_body, write_over,
        put_thread, put_ns, put_checkpoint, put_parent, put_body, put_metadata
    );
end
$$;

-- End several runs of a worker that have succeeded, as `end_run` does it one by one; returned are those that have ended. Runs
-- that were ordered to stop, go on with another or have questions open are left to that.
create function interlock.finish(some_runs text[], some_attempts integer[]) returns setof text language plpgsql as $$
declare
    its_threads text[];
    its_runs text[];
begin
    select array_agg(held.thread_id) into its_threads from (
        select t.thread_id from interlock.threads t
        where t.thread_id in (select r.thread_id from interlock.runs r where r.run_id = any(some_runs) and r.kind <> 'resume')
        order by t.thread_id for no key update
    ) held;
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
    return query select unnest(its_runs);
end
$$;
