-- Runs of some graphs that are due, at most so many: in turns between tenants, by rank within one. They are held, and not changed.
create function interlock.choose_due(
    most integer, with_suspect boolean, avoided text[], most_lanes integer, served_last text, some_graphs text[], some_tenants text[],
    out chosen text[], out look jsonb
) language plpgsql as $$
begin
    with recursive lane (tenant, graph, rank, place, wrapped) as (  -- a line for each tenant and graph, round from behind the tenant served last
        (
            (
                select q.tenant, q.graph, q.rank, 1, false from interlock.queue q
                where q.ready and q.worker_id is null and q.tenant > served_last order by q.tenant, q.graph, q.rank, q.number limit 1
            ) union all (
                select q.tenant, q.graph, q.rank, 1, true from interlock.queue q
                where q.ready and q.worker_id is null order by q.tenant, q.graph, q.rank, q.number limit 1
            ) limit 1
        )
        union all
        select n.tenant, n.graph, n.rank, lane.place + 1, n.wrapped from lane cross join lateral (
            (
                select q.tenant, q.graph, q.rank, lane.wrapped from interlock.queue q
                where q.ready and q.worker_id is null and (q.tenant, q.graph) > (lane.tenant, lane.graph)
                    and (not lane.wrapped or q.tenant <= served_last)
                order by q.tenant, q.graph, q.rank, q.number limit 1
            ) union all (
                select q.tenant, q.graph, q.rank, true from interlock.queue q
                where not lane.wrapped and q.ready and q.worker_id is null and q.tenant <= served_last
                order by q.tenant, q.graph, q.rank, q.number limit 1
            ) limit 1
        ) n
        where lane.place < most_lanes
    ), load as materialized (
        select c.tenant, count(*) as running from interlock.queue c where c.worker_id is not null group by c.tenant
    ), mine as materialized (  -- of more lines than runs are wanted, those with the best heads
        select l.tenant, l.graph, coalesce(load.running, 0) as running, min(l.place) over (partition by l.tenant) as place
        from lane l left join load on load.tenant = l.tenant
        where l.graph = any(some_graphs) and (some_tenants is null or l.tenant = any(some_tenants))
        order by running, place, l.rank limit most
    ), best as materialized (
        select m.tenant, m.graph, m.place,
            m.running + row_number() over (partition by m.tenant order by c.rank, c.number) as turn
        from mine m cross join lateral (
            select q.rank, q.number from interlock.queue q
            where q.ready and q.worker_id is null and q.tenant = m.tenant and q.graph = m.graph
                and (q.crashes = 0 or with_suspect) and q.thread_id <> all(avoided)
            order by q.rank, q.number limit most
        ) c
        order by turn, m.place, c.rank limit most
    ), share as materialized (
        select b.tenant, b.graph, count(*) as runs from best b group by b.tenant, b.graph
    ), seen as materialized (
        select t.run_id from share s cross join lateral (
            select q.run_id from interlock.queue q
            where q.ready and q.worker_id is null and q.tenant = s.tenant and q.graph = s.graph
                and (q.crashes = 0 or with_suspect) and q.thread_id <> all(avoided)
            order by q.rank, q.number limit s.runs for update skip locked
        ) t
    )
    select (select array_agg(s.run_id) from seen s), jsonb_build_object(
        'lanes', count(*), 'wrapped', bool_or(l.wrapped), 'last_seen', (array_agg(l.tenant order by l.place desc))[1],
        'last_served', (select b.tenant from best b order by b.turn desc, b.place desc limit 1),
        'wished', (select count(*) from best)
    ) into chosen, look from lane l;
end
$$;

-- The same where there is nothing to choose: all that is due is of one line, or may be taken.
create function interlock.choose_plainly(
    most integer, with_suspect boolean, avoided text[], some_graphs text[], some_tenants text[], out chosen text[], out look jsonb
) language plpgsql as $$
begin
    with seen as materialized (
        select q.run_id, q.tenant, q.rank, q.number from interlock.queue q
        where q.ready and q.worker_id is null and q.graph = any(some_graphs) and (some_tenants is null or q.tenant = any(some_tenants))
            and (q.crashes = 0 or with_suspect) and q.thread_id <> all(avoided)
        order by q.tenant, q.graph, q.rank, q.number limit most for update skip locked
    )
    select array_agg(s.run_id), jsonb_build_object(
        'lanes', 1, 'wrapped', true, 'last_served', (array_agg(s.tenant order by s.rank desc))[1], 'wished', count(*)
    ) into chosen, look from seen s;
end
$$;

-- Whether all that is due is of one tenant and one graph, which a worker takes on.
create function interlock.is_one_line(some_graphs text[], some_tenants text[]) returns boolean language sql stable as $$
    select f.graph = l.graph and f.tenant = l.tenant and f.graph = any(some_graphs) and (some_tenants is null or f.tenant = any(some_tenants))
    from (
        select q.tenant, q.graph from interlock.queue q where q.ready and q.worker_id is null
        order by q.tenant, q.graph, q.rank, q.number limit 1
    ) f cross join (
        select q.tenant, q.graph from interlock.queue q where q.ready and q.worker_id is null
        order by q.tenant desc, q.graph desc, q.rank desc, q.number desc limit 1
    ) l
$$;

-- One statement of a worker's session: it lets go of threads, accepts runs, and takes on what is due; all of them in one commit. What
-- would be claimed at once is accepted as it is claimed. Without a worker it accepts alone.
create function interlock.take_on(
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
    fitting text[] := '{}';  -- runs, as below
    behind text[] := '{}';
    at_once text[] := '{}';
    taken text[] := '{}';
    busy text[];  -- threads
    asked integer := jsonb_array_length(news);
    due integer := 0;
    begun_now integer;
    chosen text[];
    choice jsonb;
    it record;
    its record;
begin
    if cardinality(released) > 0 then
        perform pg_advisory_unlock(hashtextextended(t.name, a_seed)) from unnest(released) as t (name);
    end if;
    if most > 0 then
        select count(*) into due from (select from interlock.queue q where q.ready and q.worker_id is null limit most + 1) d;
    end if;
    if most > 0 and (due > 0 or asked > 0) then
        perform from interlock.workers w where w.worker_id = a_worker and w.state = 'working' for key share;
        if not found then
            most := 0;
        end if;
    end if;

    if asked > 0 and not exists (select from interlock.kills k where k.lifted_at is null) then
        -- Locks are taken in one order everywhere: the thread, the queue, the run; and of several threads by name.
        with opened as (
            insert into interlock.threads as t (thread_id, graph, title, context)
            select n.thread_id, n.graph, n.title, n.context - of_the_run
            from jsonb_to_recordset(news) as n (thread_id text, graph text, title text, context jsonb, must_exist boolean)
            where not n.must_exist order by n.thread_id
            on conflict (thread_id) do nothing returning t.thread_id
        )
        select coalesce(array_agg(o.thread_id), '{}') into made from opened o;
        if cardinality(made) > 0 then
            select array_agg(n.run_id) into fitting
            from jsonb_to_recordset(news) as n (run_id text, thread_id text) where n.thread_id = any(made);
        end if;
        for it in
            select n.* from jsonb_to_recordset(news) as n (
                run_id text, thread_id text, graph text, title text, context jsonb, strategy text, replaces boolean, tenant text
            )
            where cardinality(made) < asked and n.thread_id <> all(made) order by n.thread_id
        loop
            select t.graph, coalesce(t.context ->> 'tenant', '') as tenant into its from interlock.threads t
            where t.thread_id = it.thread_id for no key update skip locked;
            continue when not found or its.graph not in (it.graph, '') or its.tenant <> it.tenant
                or (coalesce(it.context ->> 'tenant', '') not in ('', its.tenant));
            if exists (select from interlock.runs r where r.thread_id = it.thread_id and r.status in ('queued', 'running', 'waiting')) then
                continue when it.replaces or it.strategy is distinct from 'enqueue';
                if not interlock.is_free(it.thread_id, false, it.run_id) then
                    behind := behind || it.run_id;
                end if;
            elsif interlock.is_held(it.thread_id, it.run_id) then
                behind := behind || it.run_id;
            end if;
            if its.graph = '' then  -- it was made without one, and takes that of its first run
                update interlock.threads t set graph = it.graph, context = (it.context - of_the_run) || t.context,
                    title = case when t.title = '' then it.title else t.title end
                where t.thread_id = it.thread_id;
            end if;
            fitting := fitting || it.run_id;
        end loop;

        if due + cardinality(fitting) <= most then
            with tried as materialized (
                select n.run_id, n.thread_id, pg_try_advisory_lock(hashtextextended(n.thread_id, a_seed)) as held
                from jsonb_to_recordset(news) as n (run_id text, thread_id text, graph text, context jsonb, for_workers boolean)
                where n.for_workers and n.run_id = any(fitting) and n.run_id <> all(behind) and n.graph = any(some_graphs)
                    and (some_tenants is null or coalesce(n.context ->> 'tenant', '') = any(some_tenants)) and n.thread_id <> all(avoided)
            )
            select coalesce(array_agg(t.run_id) filter (where t.held), '{}'), array_agg(t.thread_id) filter (where not t.held)
            into at_once, busy from tried t;
        end if;

        if cardinality(fitting) > 0 then
            return query
            with asked as materialized (
                select n.*, coalesce(n.context ->> 'tenant', '') as its_tenant, n.run_id = any(at_once) as begins
                from rows from (jsonb_to_recordset(news) as (
                    run_id text, thread_id text, graph text, context jsonb, input_type text, input_at integer, input_size integer,
                    version integer, strategy text, priority integer, card jsonb, for_workers boolean
                )) with ordinality as n (
                    run_id, thread_id, graph, context, input_type, input_at, input_size, version, strategy, priority, card, for_workers, place
                )
                where n.run_id = any(fitting)
            ), ran as (
                insert into interlock.runs as r (
                    run_id, thread_id, graph, kind, context, input_type, input, status, attempts, process, started_at
                )
                select a.run_id, a.thread_id, a.graph, 'invoke', a.context, a.input_type, substring(inputs from a.input_at for a.input_size),
                    case when a.begins then 'running' else 'queued' end, a.begins::integer, case when a.begins then a_process else '' end,
                    case when a.begins then clock_timestamp() end
                from asked a order by a.place
                returning r.run_id, r.number, r.created_at
            ), versioned as (
                insert into interlock.input_versions (run_id, schema_version) select a.run_id, a.version from asked a where a.version > 1
            ), chosen_so as (
                insert into interlock.run_options (run_id, tenant, multitask_strategy, priority)
                select a.run_id, a.its_tenant, a.strategy, a.priority from asked a where a.strategy is not null
            ), carded as (
                insert into interlock.run_cards (run_id, thread_id, assistant_id, metadata, kwargs, webhook, on_completion)
                select a.run_id, a.thread_id, a.card ->> 'assistant_id', a.card -> 'metadata', a.card -> 'kwargs', a.card ->> 'webhook',
                    a.card ->> 'on_completion'
                from asked a where jsonb_typeof(a.card) = 'object'
            ), queued as (
                insert into interlock.queue (run_id, thread_id, graph, tenant, rank, priority, number, ready, worker_id, claimed_at)
                select a.run_id, a.thread_id, a.graph, a.its_tenant, clock_timestamp() - a.priority * interval '1 minute', a.priority, r.number,
                    a.run_id <> all(behind), case when a.begins then a_worker end, case when a.begins then clock_timestamp() end
                from asked a join ran r using (run_id) where a.for_workers
            ), noted as (
                insert into interlock.run_events (run_id, thread_id, kind, worker_id)
                select a.run_id, a.thread_id, e.kind, e.worker from asked a
                cross join lateral (values (1, 'submitted', ''), (2, 'claimed', a_worker)) as e (part, kind, worker)
                where a.for_workers and (a.begins or e.part = 1) order by a.place, e.part
            )
            select a.run_id, true, a.begins, r.created_at, t.lineage,
                a.begins and (a.thread_id = any(made) or not exists (select from checkpoints c where c.thread_id = a.thread_id)),
                not a.begins or interlock.is_limited(a.run_id, a.thread_id, a.graph, a.context ->> 'tenant'),
                null::text, null::text, null::text, null::text, null::jsonb, null::text, null::bytea, null::jsonb, null::integer,
                null::text, null::text, null::text[], null::integer, 0, null::bigint, null::jsonb
            from asked a join ran r using (run_id) left join interlock.threads t on t.thread_id = a.thread_id;
        end if;
    end if;

    most := most - cardinality(at_once);
    if most > 0 and (due > 0 or cardinality(at_once) < cardinality(fitting)) then
        if due <= most and cardinality(at_once) < cardinality(fitting) then
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

    if cardinality(at_once) < cardinality(fitting) and exists (
        select from interlock.queue q
        where q.run_id = any(fitting) and q.run_id <> all(at_once) and q.run_id <> all(taken) and q.ready and q.worker_id is null
    ) then
        perform pg_notify('interlock_queue', '');
    end if;
    if choice is not null or busy is not null then
        run_id := null; accepted := false; claimed := false;
        look := coalesce(choice, '{}') || jsonb_build_object('busy_threads', busy);
        return next;
    end if;
end
$$;
