-- Accepting and taking on in half the work: what is looked up by its thread is in an index of its own, what one run needs is written by
-- plain statements, which cost less than one that joins what it has just written, and nothing is written to see that it stands there.

-- A thread's runs that have not ended; its index by number makes whoever looks for them read all that have.
drop index interlock.runs_begun;
create index runs_open on interlock.runs (thread_id) where status in ('queued', 'running', 'waiting');

-- Note on a thread of which assistant its latest run was asked, and how; what leaves nothing behind is not noted.
create or replace function interlock.note_asked() returns trigger language plpgsql as $$
begin
    if not exists (
        select from interlock.runs r join interlock.thread_cards c on c.thread_id = new.thread_id
        where r.run_id = new.run_id and c.metadata @> jsonb_build_object('graph_id', r.graph, 'assistant_id', new.assistant_id)
            and c.config = coalesce(new.kwargs -> 'config', '{}')
    ) then
        insert into interlock.thread_cards (thread_id, metadata, config)
        select new.thread_id, jsonb_build_object('graph_id', r.graph, 'assistant_id', new.assistant_id), coalesce(new.kwargs -> 'config', '{}')
        from interlock.runs r where r.run_id = new.run_id
        on conflict (thread_id) do update set metadata = thread_cards.metadata || excluded.metadata, config = excluded.config;
    end if;
    return null;
end
$$;

-- One statement of a worker's session: it lets go of threads, accepts runs, and takes on what is due; all of them in one commit. What
-- would be claimed at once is accepted as it is claimed. Without a worker it accepts alone.
create or replace function interlock.take_on(
    a_worker text, a_process text, a_seed bigint, released text[], news jsonb, inputs bytea, of_the_run text[],
    most integer, with_suspect boolean, avoided text[], most_lanes integer, served_last text, some_graphs text[], some_tenants text[]
) returns table (
    run_id text, accepted boolean, claimed boolean, created_at timestamptz, lineage jsonb, fresh boolean, limited boolean,
    thread_id text, graph text, kind text, status text, context jsonb, input_type text, input bytea, answers jsonb, attempts integer,
    error text, error_kind text, chain text[], schema_version integer, crashes integer, kill bigint, look jsonb
) language plpgsql
    set enable_seqscan = off as $$
#variable_conflict use_column
declare
    made text[] := '{}';  -- threads
    at_once integer := 0;
    queued_up text[] := '{}';  -- runs
    taken text[] := '{}';
    busy text[];  -- threads
    asked integer := jsonb_array_length(news);
    due integer;
    killed boolean;
    bounded boolean;
    begun_now integer;
    chosen text[];
    choice jsonb;
    said jsonb;
    card jsonb;
    its_thread text;
    its_graph text;
    its_context jsonb;
    its_tenant text;
    its_number bigint;
    at_work boolean;  -- it is for the workers
    is_new boolean;
    is_behind boolean;
    got boolean;
    found_there record;
begin
    -- What needs no table is an expression here, and not a statement: each statement has to be started and ended.
    for place in 1..cardinality(released) loop
        got := pg_advisory_unlock(hashtextextended(released[place], a_seed));
    end loop;
    select (select count(*) from (select from interlock.queue q where q.ready and q.worker_id is null limit most + 1) d),
        exists (select from interlock.kills k where k.lifted_at is null),
        exists (select from interlock.budgets b where b.limits <> array_fill(null::numeric, array[8]))
    into due, killed, bounded;
    if most > 0 and (due > 0 or asked > 0) then
        perform from interlock.workers w where w.worker_id = a_worker and w.state = 'working' for key share;
        if not found then
            most := 0;
        end if;
    end if;

    if asked > 0 and not killed then
        -- Locks are taken in one order everywhere: the thread, the queue, the run; and of several threads by name where one is waited for.
        if news @> '[{"must_exist": false}]' then
            with opened as (
                insert into interlock.threads as t (thread_id, graph, title, context)
                select n.thread_id, n.graph, n.title, n.context - of_the_run
                from jsonb_to_recordset(news) as n (thread_id text, graph text, title text, context jsonb, must_exist boolean)
                where not n.must_exist order by n.thread_id
                on conflict (thread_id) do nothing returning t.thread_id
            )
            select coalesce(array_agg(o.thread_id), '{}') into made from opened o;
        end if;
        for place in 0..asked - 1 loop
            said := news -> place;
            run_id := said ->> 'run_id';
            its_thread := said ->> 'thread_id';
            its_graph := said ->> 'graph';
            its_context := said -> 'context';
            its_tenant := coalesce(its_context ->> 'tenant', '');
            at_work := (said -> 'for_workers')::boolean;
            is_new := its_thread = any(made);
            is_behind := false;
            lineage := '{}';
            if not is_new then
                select t.graph, coalesce(t.context ->> 'tenant', '') as tenant, t.lineage,
                    (select c.metadata - '{graph_id,assistant_id}'::text[] from interlock.thread_cards c where c.thread_id = t.thread_id)
                        as metadata
                into found_there from interlock.threads t where t.thread_id = its_thread for no key update of t skip locked;
                continue when not found or found_there.graph not in (its_graph, '') or found_there.tenant <> said ->> 'tenant'
                    or its_tenant not in ('', found_there.tenant) or coalesce(found_there.metadata, '{}') <> said -> 'metadata';
                lineage := found_there.lineage;
                if exists (
                    select from interlock.runs r where r.thread_id = its_thread and r.status in ('queued', 'running', 'waiting')
                ) then
                    continue when (said -> 'replaces')::boolean or said ->> 'strategy' is distinct from 'enqueue';
                    is_behind := not interlock.is_free(its_thread, false, run_id);
                else
                    is_behind := interlock.is_held(its_thread, run_id);
                end if;
                if found_there.graph = '' then  -- it was made without one, and takes that of its first run
                    update interlock.threads t set graph = its_graph, context = (its_context - of_the_run) || t.context,
                        title = case when t.title = '' then said ->> 'title' else t.title end
                    where t.thread_id = its_thread;
                end if;
            end if;

            claimed := due + asked <= most and at_work and not is_behind and its_graph = any(some_graphs)
                and (some_tenants is null or its_tenant = any(some_tenants)) and its_thread <> all(avoided);
            if claimed then
                claimed := pg_try_advisory_lock(hashtextextended(its_thread, a_seed));
                if not claimed then
                    busy := busy || its_thread;
                end if;
            end if;
            insert into interlock.runs as r (
                run_id, thread_id, graph, kind, context, input_type, input, status, attempts, process, started_at
            ) values (
                run_id, its_thread, its_graph, 'invoke', its_context, said ->> 'input_type',
                substring(inputs from (said -> 'input_at')::integer for (said -> 'input_size')::integer),
                case when claimed then 'running' else 'queued' end, claimed::integer, case when claimed then a_process else '' end,
                case when claimed then clock_timestamp() end
            )
            returning r.number, r.created_at, claimed and (is_new or not exists (select from checkpoints c where c.thread_id = its_thread))
            into its_number, created_at, fresh;
            if (said -> 'version')::integer > 1 then
                insert into interlock.input_versions (run_id, schema_version) values (run_id, (said -> 'version')::integer);
            end if;
            if said ->> 'strategy' is not null then
                insert into interlock.run_options (run_id, tenant, multitask_strategy, priority)
                values (run_id, its_tenant, said ->> 'strategy', (said -> 'priority')::integer);
            end if;
            card := said -> 'card';
            if jsonb_typeof(card) = 'object' then
                insert into interlock.run_cards (run_id, thread_id, assistant_id, metadata, kwargs, webhook, on_completion) values (
                    run_id, its_thread, card ->> 'assistant_id', card -> 'metadata', card -> 'kwargs', card ->> 'webhook',
                    card ->> 'on_completion'
                );
            end if;
            if at_work then
                insert into interlock.queue (run_id, thread_id, graph, tenant, rank, priority, number, ready, worker_id, claimed_at)
                values (
                    run_id, its_thread, its_graph, its_tenant, clock_timestamp() - (said -> 'priority')::integer * interval '1 minute',
                    (said -> 'priority')::integer, its_number, not is_behind, case when claimed then a_worker end,
                    case when claimed then clock_timestamp() end
                );
                insert into interlock.run_events (run_id, thread_id, kind, worker_id)
                select run_id, its_thread, e.kind, e.worker
                from (values ('submitted', '', true), ('claimed', a_worker, claimed)) as e (kind, worker, happened) where e.happened;
            end if;
            limited := not claimed or (bounded and interlock.is_limited(run_id, its_thread, its_graph, its_context ->> 'tenant'));
            accepted := true;
            crashes := 0;
            return next;
            if claimed then
                at_once := at_once + 1;
            elsif at_work then
                queued_up := queued_up || run_id;
            end if;
        end loop;
    end if;

    most := most - at_once;
    if most > 0 and (due > 0 or cardinality(queued_up) > 0) then
        if due <= most and cardinality(queued_up) > 0 then
            select count(*) into due from (select from interlock.queue q where q.ready and q.worker_id is null limit most + 1) d;
        end if;
        if due > 0 and (due <= most or interlock.is_one_line(some_graphs, some_tenants)) then
            select c.chosen, c.look into chosen, choice
            from interlock.choose_plainly(most, with_suspect, avoided, some_graphs, some_tenants) c;
        elsif due > 0 then
            select c.chosen, c.look into chosen, choice
            from interlock.choose_due(most, with_suspect, avoided, most_lanes, served_last, some_graphs, some_tenants) c;
        end if;
    end if;
    if chosen is not null then
        with seen as materialized (
            select q.run_id, q.thread_id, q.crashes, row_number() over (partition by q.crashes > 0 order by q.rank, q.number) as place
            from interlock.queue q where q.run_id = any(chosen)
        ), tried as materialized (
            select s.run_id, s.thread_id, pg_try_advisory_lock(hashtextextended(s.thread_id, a_seed)) as held
            from seen s where s.crashes = 0 or s.place = 1
        )
        select coalesce(array_agg(t.run_id) filter (where t.held), '{}'),
            busy || array_agg(t.thread_id) filter (where not t.held), choice || jsonb_build_object('tried', count(*))
        into taken, busy, choice from tried t;
        return query
        with begun as (
            update interlock.runs r set status = 'running', attempts = r.attempts + 1, process = a_process,
                started_at = coalesce(r.started_at, clock_timestamp()), error = '', error_kind = ''
            where r.run_id = any(taken) and r.status = 'queued'
            returning r.*
        ), held as (
            update interlock.queue q set worker_id = a_worker, claimed_at = clock_timestamp()
            from begun b where q.run_id = b.run_id returning q.run_id, q.crashes
        ), noted as (
            insert into interlock.run_events (run_id, thread_id, kind, worker_id)
            select b.run_id, b.thread_id, 'claimed', a_worker from begun b
        )
        select b.run_id, false, true, b.created_at, t.lineage,
            not exists (select from checkpoints c where c.thread_id = b.thread_id),
            b.kind = 'resume' or interlock.is_limited(b.run_id, b.thread_id, b.graph, b.context ->> 'tenant'),
            b.thread_id, b.graph, b.kind, b.status, b.context, b.input_type, b.input, b.answers, b.attempts, b.error, b.error_kind,
            case when b.kind = 'resume' then interlock.chain(b.run_id) else array[b.run_id] end,
            coalesce((select v.schema_version from interlock.input_versions v where v.run_id = b.run_id), 1), h.crashes,
            case when exists (select from interlock.kills where lifted_at is null)
                then (select min(k) from interlock.kills_over(b.run_id) as k) end,
            null::jsonb
        from begun b join held h using (run_id) left join interlock.threads t on t.thread_id = b.thread_id;
        get diagnostics begun_now = row_count;
        if begun_now < cardinality(taken) then  -- what is not queued any more has no place there
            with stale as (
                delete from interlock.queue q using interlock.runs r
                where q.run_id = any(taken) and q.worker_id is null and r.run_id = q.run_id and r.status <> 'queued' returning q.thread_id
            )
            select count(pg_advisory_unlock(hashtextextended(s.thread_id, a_seed))) into due from stale s;
        end if;
    end if;

    if cardinality(queued_up) > 0 and exists (
        select from interlock.queue q
        where q.run_id = any(queued_up) and q.run_id <> all(taken) and q.ready and q.worker_id is null
    ) then
        perform pg_notify('interlock_queue', '');
    end if;
    if choice is not null or busy is not null then
        run_id := null; accepted := false; claimed := false; created_at := null; lineage := null;
        look := coalesce(choice, '{}') || jsonb_build_object('busy_threads', busy);
        return next;
    end if;
end
$$;
