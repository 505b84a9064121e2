-- Hand a queued run to the workers; whoever calls it ends the transaction soon, for it holds the thread. A run that takes the place of
-- what its thread waits for people for does so here when its time comes later than it was submitted.
create or replace function interlock.enqueue(a_run text) returns void language plpgsql
    set enable_seqscan = off as $$
declare
    it record;
    is_next boolean;
begin
    select r.thread_id, r.graph, r.number, r.kind = 'resume' as resumes, coalesce(r.context ->> 'tenant', '') as tenant,
        coalesce(r.context -> 'replaces_questions' = 'true', false) as replaces,
        coalesce((select o.priority from interlock.run_options o where o.run_id = r.run_id), 0) as priority
    into it from interlock.runs r where r.run_id = a_run and r.status = 'queued';
    if not found then
        return;
    end if;
    perform from interlock.threads where thread_id = it.thread_id for no key update;
    is_next := interlock.is_free(it.thread_id, it.resumes, a_run);
    if not is_next and it.replaces and not it.resumes and interlock.give_way(it.thread_id) then
        is_next := interlock.is_free(it.thread_id, false, a_run);
    end if;
    insert into interlock.queue (run_id, thread_id, graph, tenant, rank, priority, number, resumes, ready)
    values (
        a_run, it.thread_id, it.graph, it.tenant, clock_timestamp() - it.priority * interval '1 minute', it.priority, it.number, it.resumes,
        is_next
    )
    on conflict (run_id) do nothing;
    perform pg_notify('interlock_queue', '');
end
$$;
