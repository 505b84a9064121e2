-- Accept runs that are worked on where they are asked for, hold their threads for this session, and begin with them: in one commit.
-- Left out, and without a trace, is whatever something stands in the way of.
create function interlock.take_up(
    a_process text, a_seed bigint, news jsonb, inputs bytea, of_the_run text[]
) returns table (run_id text, created_at timestamptz, lineage jsonb, fresh boolean, limited boolean) language plpgsql
    set enable_seqscan = off as $$
#variable_conflict use_column
declare
    some_threads text[];
    some_runs text[];
    some_times timestamptz[];
    some_lineages jsonb[];
begin
    with tried as materialized (
        select n.thread_id, pg_try_advisory_lock(hashtextextended(n.thread_id, a_seed)) as held
        from jsonb_to_recordset(news) as n (thread_id text)
    )
    select coalesce(array_agg(t.thread_id) filter (where t.held), '{}') into some_threads from tried t;
    if cardinality(some_threads) < jsonb_array_length(news) then
        select coalesce(jsonb_agg(n.said), '[]') into news from jsonb_array_elements(news) as n (said)
        where n.said ->> 'thread_id' = any(some_threads);
    end if;
    select array_agg(t.run_id), array_agg(t.created_at), array_agg(t.lineage) into some_runs, some_times, some_lineages
    from interlock.take_on('', '', 0, '{}', news, inputs, of_the_run, 0, false, '{}', 0, '', '{}', '{}') t;
    return query
    with begun as (
        update interlock.runs r set status = 'running', attempts = 1, process = a_process, started_at = clock_timestamp()
        where r.run_id = any(some_runs) returning r.run_id, r.thread_id, r.graph, r.context
    )
    select b.run_id, t.created_at, t.lineage, not exists (select from checkpoints c where c.thread_id = b.thread_id),
        interlock.is_limited(b.run_id, b.thread_id, b.graph, b.context ->> 'tenant')
    from begun b join unnest(some_runs, some_times, some_lineages) as t (run_id, created_at, lineage) using (run_id);
    if coalesce(cardinality(some_runs), 0) < cardinality(some_threads) then
        perform pg_advisory_unlock(hashtextextended(n.thread_id, a_seed))
        from jsonb_to_recordset(news) as n (run_id text, thread_id text)
        where n.run_id <> all(coalesce(some_runs, '{}'));
    end if;
end
$$;
