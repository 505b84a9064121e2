-- How often, and with how many tokens, models may be called by all processes together; and which providers are out of order.

-- Limits that were stored by hand; those of a file come with each call. What is null is not limited here.
create table interlock.rate_limits (
    target text primary key,  -- provider:openai, model:openai:gpt-5, tenant:acme, or one of the first two with /tenant:acme
    requests double precision check (requests > 0),  -- a minute
    tokens double precision check (tokens > 0),  -- a minute
    concurrent integer check (concurrent > 0),
    burst double precision check (burst >= 0),  -- seconds whose share may come at once
    set_by text not null default '',
    set_at timestamptz not null default now()
);

-- How each target stands. Times are seconds of the database's clock since 1970; 0 is never.
create table interlock.rates (
    name text primary key,
    requests_at double precision not null default 0,  -- when the requests that were let through have become due (GCRA)
    tokens_at double precision not null default 0,
    requests_line double precision not null default 0,  -- the same with those that wait: where the line ends
    tokens_line double precision not null default 0,
    token_share double precision not null default 1,  -- how much calls take of what is reserved for them, lately
    not_before double precision not null default 0,  -- the provider said so
    outcomes boolean[] not null default '{}',  -- of the last calls: whether they succeeded
    outcomes_at double precision[] not null default '{}',
    opened_at double precision not null default 0,  -- the breaker; 0: it is closed
    open_until double precision not null default 0,  -- then one call may try
    openings integer not null default 0,  -- in a row
    probe_by text not null default '',  -- the call that tries, and the process that makes it
    probe_owner text not null default '',
    told text not null default '',  -- what the provider said last
    swept_at double precision not null default 0
) with (fillfactor = 50);  -- its rows change with each call: they stay on their page, and no index grows

-- Calls that are under way where their number is limited; the slot of a process that died is given to others.
create table interlock.rate_calls (
    name text not null,
    key text not null,
    owner text not null,
    since timestamptz not null default clock_timestamp(),
    primary key (name, key)
);

-- Calls that wait: for what, since when, and until when as far as anybody knows.
create table interlock.rate_waits (
    key text primary key,
    owner text not null,
    name text not null,
    why text not null,  -- requests, tokens, concurrent, told (the provider said so), breaker
    model text not null default '',
    run_id text not null default '',
    thread_id text not null default '',
    graph text not null default '',
    tenant text not null default '',
    node text not null default '',
    since timestamptz not null default clock_timestamp(),
    until timestamptz not null
);
create index rate_waits_run on interlock.rate_waits (run_id);

-- How long something that costs so many seconds of a rate has to wait (GCRA with virtual scheduling, ITU-T I.371).
create function interlock.rate_due(at double precision, paid double precision, cost double precision, burst double precision)
returns double precision language sql immutable parallel safe as $$
    select greatest(paid, at) + cost - at - greatest(burst, cost)
$$;

-- Locks targets for this transaction, in one order for all callers, and makes those that do not exist.
create function interlock.rates_lock(p_names text[]) returns interlock.rates[] language plpgsql as $$
declare
    found_rows interlock.rates[];
begin
    -- Whoever waits for these rows must not wait for the disk too: after a crash of the server the last second is forgotten.
    perform set_config('synchronous_commit', 'off', true);
    insert into interlock.rates (name)
    select n from unnest(p_names) as n
    where not exists (select from interlock.rates r where r.name = n)
    order by n collate "C"
    on conflict (name) do nothing;
    select array_agg(r order by (r).name collate "C") into found_rows from (
        select x as r from interlock.rates x where x.name = any (p_names) order by x.name collate "C" for update
    ) as locked;
    return found_rows;
end
$$;

create function interlock.rates_write(p_rows interlock.rates[]) returns void language sql as $$
    update interlock.rates r
    set requests_at = n.requests_at, tokens_at = n.tokens_at, requests_line = n.requests_line, tokens_line = n.tokens_line,
        token_share = n.token_share, not_before = n.not_before, outcomes = n.outcomes, outcomes_at = n.outcomes_at,
        opened_at = n.opened_at, open_until = n.open_until, openings = n.openings, probe_by = n.probe_by,
        probe_owner = n.probe_owner, told = n.told, swept_at = n.swept_at
    from unnest(p_rows) as n where n.name = r.name and n is distinct from r
$$;

-- Lets calls through, or says how long each has to wait: all of its limits are taken, or none. A call that has to wait gets
-- its place in line, and comes again when it is its turn (`booked`).
create function interlock.rates_take(p_asks jsonb, p_owner text)
returns table (key text, verdict text, seconds double precision, name text, why text, probes boolean) language plpgsql as $$
#variable_conflict use_column
declare
    names text[];
    rows interlock.rates[];
    at double precision;
    ask jsonb;
    bound jsonb;
    each_name text;
    i integer;
    wait double precision;
    due double precision;
    whose text;
    reason text;
    is_open boolean;
    is_probe boolean;
    booked boolean;
    burst double precision;
    cost double precision;
    used integer;
begin
    select array_agg(n order by n collate "C") into names from (
        select l ->> 'name' as n from jsonb_array_elements(p_asks) a, jsonb_array_elements(a -> 'limits') l
        union
        select b from jsonb_array_elements(p_asks) a, jsonb_array_elements_text(a -> 'breakers') b
    ) as all_names;
    rows := interlock.rates_lock(names);
    at := extract(epoch from clock_timestamp());
    for ask in select a from jsonb_array_elements(p_asks) with ordinality as t (a, n) order by n loop
        wait := 0;
        whose := '';
        reason := '';
        is_probe := false;
        booked := (ask ->> 'booked')::boolean;
        for each_name in select jsonb_array_elements_text(ask -> 'breakers') loop
            i := array_position(names, each_name);
            if rows[i].not_before - at > wait then
                wait := rows[i].not_before - at;
                whose := each_name;
                reason := 'told';
            end if;
        end loop;
        for each_name in select jsonb_array_elements_text(ask -> 'breakers') loop
            i := array_position(names, each_name);
            if rows[i].opened_at > 0 then
                is_probe := true;
                if rows[i].probe_by <> '' and not interlock.lives(rows[i].probe_owner) then
                    rows[i].probe_by := '';
                end if;
                due := case when rows[i].probe_by <> '' then greatest(rows[i].open_until - at, 0.25) else rows[i].open_until - at end;
                if due > wait then
                    wait := due;
                    whose := each_name;
                    reason := 'breaker';
                end if;
            end if;
        end loop;
        for bound in select jsonb_array_elements(ask -> 'limits') loop
            i := array_position(names, bound ->> 'name');
            burst := (bound ->> 'burst')::double precision;
            if bound ->> 'requests' is not null then
                cost := 60 / (bound ->> 'requests')::double precision;
                due := interlock.rate_due(at, rows[i].requests_at, cost, burst);
                if not booked then
                    due := greatest(due, interlock.rate_due(at, rows[i].requests_line, cost, burst));
                end if;
                if due > wait then
                    wait := due;
                    whose := rows[i].name;
                    reason := 'requests';
                end if;
            end if;
            if bound ->> 'tokens' is not null then
                cost := 60 / (bound ->> 'tokens')::double precision * (ask ->> 'tokens')::double precision;
                due := interlock.rate_due(at, rows[i].tokens_at, cost, burst);
                if not booked then
                    due := greatest(
                        due, interlock.rate_due(at, rows[i].tokens_line, cost * rows[i].token_share, greatest(burst, cost))
                    );
                end if;
                if due > wait then
                    wait := due;
                    whose := rows[i].name;
                    reason := 'tokens';
                end if;
            end if;
            if bound ->> 'concurrent' is not null then
                select count(*) into used from interlock.rate_calls c where c.name = rows[i].name;
                if used >= (bound ->> 'concurrent')::integer and rows[i].swept_at < at - 1 then
                    rows[i].swept_at := at;
                    delete from interlock.rate_calls c where c.name = rows[i].name and c.owner in (
                        select o.owner from (select distinct d.owner from interlock.rate_calls d where d.name = rows[i].name) as o
                        where not interlock.lives(o.owner)
                    );
                    select count(*) into used from interlock.rate_calls c where c.name = rows[i].name;
                end if;
                if used >= (bound ->> 'concurrent')::integer and wait < 0.2 then
                    wait := 0.2;
                    whose := rows[i].name;
                    reason := 'concurrent';
                end if;
            end if;
        end loop;
        is_open := reason = 'breaker';
        if wait > 0.001 then
            insert into interlock.rate_waits as w (key, owner, name, why, model, run_id, thread_id, graph, tenant, node, until)
            select ask ->> 'key', p_owner, whose, reason, o.model, o.run_id, o.thread_id, o.graph, o.tenant, o.node,
                to_timestamp(at + wait)
            from jsonb_to_record(ask -> 'who') as o (
                model text, run_id text, thread_id text, graph text, tenant text, node text
            )
            on conflict (key) do update set name = excluded.name, why = excluded.why, until = excluded.until
            where (w.name, w.why) is distinct from (excluded.name, excluded.why) or excluded.until > w.until + interval '3 s';
        elsif (ask ->> 'waited')::boolean then
            delete from interlock.rate_waits w where w.key = ask ->> 'key';
        end if;
        for bound in select jsonb_array_elements(ask -> 'limits') where not is_open and (wait <= 0.001 or not booked) loop
            i := array_position(names, bound ->> 'name');
            if bound ->> 'requests' is not null then
                cost := 60 / (bound ->> 'requests')::double precision;
                if wait <= 0.001 then
                    rows[i].requests_at := greatest(rows[i].requests_at, at) + cost;
                end if;
                if not booked then
                    rows[i].requests_line := greatest(rows[i].requests_line, at) + cost;
                end if;
            end if;
            if bound ->> 'tokens' is not null then
                cost := 60 / (bound ->> 'tokens')::double precision * (ask ->> 'tokens')::double precision;
                if wait <= 0.001 then
                    rows[i].tokens_at := greatest(rows[i].tokens_at, at) + cost;
                end if;
                if not booked then
                    rows[i].tokens_line := greatest(rows[i].tokens_line, at) + cost * rows[i].token_share;
                end if;
            end if;
            if bound ->> 'concurrent' is not null and wait <= 0.001 then
                insert into interlock.rate_calls (name, key, owner) values (rows[i].name, ask ->> 'key', p_owner)
                on conflict do nothing;
            end if;
        end loop;
        is_probe := is_probe and wait <= 0.001;
        for each_name in select jsonb_array_elements_text(ask -> 'breakers') where is_probe loop
            i := array_position(names, each_name);
            if rows[i].opened_at > 0 then
                rows[i].probe_by := ask ->> 'key';
                rows[i].probe_owner := p_owner;
            end if;
        end loop;
        return query select ask ->> 'key', case when is_open then 'open' when wait > 0.001 then 'wait' else 'go' end,
            case when wait > 0.001 then wait else 0 end, whose, reason, is_probe;
    end loop;
    perform interlock.rates_write(rows);
end
$$;

-- Notes how calls ended: gives slots and tokens back, counts successes and failures, opens and closes breakers, and lets
-- everybody wait whom the provider told to.
create function interlock.rates_settle(p_ends jsonb, p_failures integer, p_of integer, p_within double precision, p_open double precision)
returns void language plpgsql as $$
declare
    names text[];
    rows interlock.rates[];
    at double precision;
    ending jsonb;
    part jsonb;
    i integer;
    bad integer;
begin
    select array_agg(n order by n collate "C") into names from (
        select distinct x ->> 'name' as n
        from jsonb_array_elements(p_ends) e,
            jsonb_array_elements((e -> 'tokens') || (e -> 'outcomes') || (e -> 'pushed') || (e -> 'left')) x
    ) as all_names;
    delete from interlock.rate_calls c using jsonb_array_elements(p_ends) e where c.key = e ->> 'key' and c.name = any (
        select jsonb_array_elements_text(e -> 'slots')
    );
    delete from interlock.rate_waits w using jsonb_array_elements(p_ends) e where w.key = e ->> 'key' and (e ->> 'waited')::boolean;
    if names is null then
        perform set_config('synchronous_commit', 'off', true);
        return;
    end if;
    rows := interlock.rates_lock(names);
    at := extract(epoch from clock_timestamp());
    for ending in select e from jsonb_array_elements(p_ends) with ordinality as t (e, n) order by n loop
        for part in select jsonb_array_elements(ending -> 'tokens') loop  -- seconds that it took more, or less
            i := array_position(names, part ->> 'name');
            rows[i].tokens_at := rows[i].tokens_at + (part ->> 'seconds')::double precision;
            if part ->> 'share' is not null then
                rows[i].token_share := least(greatest(
                    rows[i].token_share * 0.9 + 0.1 * (part ->> 'share')::double precision, 0.05), 1);
            end if;
        end loop;
        for part in select jsonb_array_elements(ending -> 'left') loop  -- its place in line, which it does not need any more
            i := array_position(names, part ->> 'name');
            rows[i].requests_line := rows[i].requests_line - (part ->> 'requests')::double precision;
            rows[i].tokens_line := rows[i].tokens_line - (part ->> 'tokens')::double precision * rows[i].token_share;
        end loop;
        for part in select jsonb_array_elements(ending -> 'pushed') loop
            i := array_position(names, part ->> 'name');
            rows[i].not_before := greatest(rows[i].not_before, at + (part ->> 'seconds')::double precision);
            rows[i].told := part ->> 'told';
        end loop;
        for part in select jsonb_array_elements(ending -> 'outcomes') loop
            i := array_position(names, part ->> 'name');
            if rows[i].probe_by <> '' and rows[i].probe_by = ending ->> 'key' then
                rows[i].probe_by := '';
                if (part ->> 'failed')::integer > 0 then
                    rows[i].open_until := at + least(p_open * 2 ^ least(rows[i].openings, 10), 300);
                    rows[i].openings := rows[i].openings + 1;
                    rows[i].told := part ->> 'told';
                elsif (part ->> 'ok')::integer > 0 then
                    rows[i].opened_at := 0;
                    rows[i].open_until := 0;
                    rows[i].openings := 0;
                    rows[i].outcomes := '{}';
                    rows[i].outcomes_at := '{}';
                end if;
            elsif rows[i].opened_at = 0 then
                rows[i].outcomes := rows[i].outcomes || array_fill(true, array[(part ->> 'ok')::integer])
                    || array_fill(false, array[(part ->> 'failed')::integer]);
                rows[i].outcomes_at := rows[i].outcomes_at
                    || array_fill(at, array[(part ->> 'ok')::integer + (part ->> 'failed')::integer]);
                if cardinality(rows[i].outcomes) > p_of then
                    rows[i].outcomes := (rows[i].outcomes)[cardinality(rows[i].outcomes) - p_of + 1 :];
                    rows[i].outcomes_at := (rows[i].outcomes_at)[cardinality(rows[i].outcomes_at) - p_of + 1 :];
                end if;
                if (part ->> 'failed')::integer > 0 then
                    rows[i].told := part ->> 'told';
                    select count(*) into bad from unnest(rows[i].outcomes, rows[i].outcomes_at) as o (good, seen)
                    where not good and seen > at - p_within;
                    if bad >= p_failures then
                        rows[i].opened_at := at;
                        rows[i].open_until := at + p_open;
                        rows[i].openings := 1;
                    end if;
                end if;
            end if;
        end loop;
    end loop;
    perform interlock.rates_write(rows);
end
$$;
