-- Accept a run of a graph in one statement, where nothing stands in its way: no row means that something does, or that there is
-- a kill switch, and nothing was changed. Locks are taken in one order everywhere: the thread, the queue, the run.
create function interlock.accept_run(
    a_run text, a_thread text, a_graph text, a_title text, a_thread_context jsonb, a_context jsonb, an_input_type text, an_input bytea, a_version integer,
    a_strategy text, a_priority integer, a_card jsonb, replaces_questions boolean, for_workers boolean
) returns table (created_at timestamptz, lineage jsonb) language plpgsql
    set enable_seqscan = off as $$
declare
    its_number bigint;
    its_graph text := a_graph;
    is_free boolean := true;
begin
    if exists (select from interlock.kills k where k.lifted_at is null) then
        return;
    end if;
    lineage := '{}';
    insert into interlock.threads as t (thread_id, graph, title, context) values (a_thread, a_graph, a_title, a_thread_context)
    on conflict (thread_id) do nothing;
    if not found then
        select t.graph, t.lineage into its_graph, lineage from interlock.threads t where t.thread_id = a_thread for no key update;
        if its_graph not in (a_graph, '') then
            return;
        end if;
        if exists (select from interlock.runs r where r.thread_id = a_thread and r.status in ('queued', 'running', 'waiting')) then
            if replaces_questions or a_strategy is distinct from 'enqueue' then
                return;
            end if;
            is_free := interlock.is_free(a_thread, false, a_run);
        elsif interlock.is_held(a_thread, a_run) then
            is_free := false;
        end if;
        if its_graph = '' then  -- it was made without one, and takes that of its first run
            update interlock.threads t set graph = a_graph, context = a_thread_context || t.context,
                title = case when t.title = '' then a_title else t.title end
            where t.thread_id = a_thread;
        end if;
    end if;
    insert into interlock.runs as r (run_id, thread_id, graph, kind, status, context, input_type, input)
    values (a_run, a_thread, a_graph, 'invoke', 'queued', a_context, an_input_type, an_input)
    returning r.created_at, r.number into created_at, its_number;
    if a_version > 1 then
        insert into interlock.input_versions (run_id, schema_version) values (a_run, a_version);
    end if;
    if a_strategy is not null then
        insert into interlock.run_options (run_id, tenant, multitask_strategy, priority)
        values (a_run, coalesce(a_context ->> 'tenant', ''), a_strategy, a_priority);
    end if;
    if a_card is not null then
        insert into interlock.run_cards (run_id, thread_id, assistant_id, metadata, kwargs, webhook, on_completion)
        values (
            a_run, a_thread, a_card ->> 'assistant_id', a_card -> 'metadata', a_card -> 'kwargs', a_card ->> 'webhook',
            a_card ->> 'on_completion'
        );
    end if;
    if for_workers then
        insert into interlock.run_events (run_id, thread_id, kind) values (a_run, a_thread, 'submitted');
        insert into interlock.queue (run_id, thread_id, graph, tenant, rank, priority, number, ready)
        values (
            a_run, a_thread, a_graph, coalesce(a_context ->> 'tenant', ''),
            clock_timestamp() - a_priority * interval '1 minute', a_priority, its_number, is_free
        );
        perform pg_notify('interlock_queue', '');
    end if;
    return next;
end
$$;
