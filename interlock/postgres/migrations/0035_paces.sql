-- What was let through under a limit is owed to it in requests and tokens, not in seconds: when the limit is another, as
-- in a file that was changed, it is paid off at the new pace.

alter table interlock.rates
    add column requests_pace double precision not null default 0,  -- seconds that a request took when the times were written
    add column tokens_pace double precision not null default 0;  -- the same of a token; 0 is not known

-- By how much a time span that was reckoned at one pace is longer at another; 1 where either is not known.
create function interlock.rate_ratio(pace double precision, other double precision)
returns double precision language sql immutable parallel safe as $$
    select case when pace > 0 and other > 0 then other / pace else 1 end
$$;

-- Until when something is paid off at another pace.
create function interlock.rate_at_pace(
    at double precision, paid double precision, pace double precision, other double precision
) returns double precision language sql immutable parallel safe as $$
    select case when paid > at then at + (paid - at) * interlock.rate_ratio(pace, other) else paid end
$$;

create or replace function interlock.rates_write(p_rows interlock.rates[]) returns void language sql as $$
    update interlock.rates r
    set requests_at = n.requests_at, tokens_at = n.tokens_at, requests_line = n.requests_line, tokens_line = n.tokens_line,
        token_share = n.token_share, not_before = n.not_before, outcomes = n.outcomes, outcomes_at = n.outcomes_at,
        opened_at = n.opened_at, open_until = n.open_until, openings = n.openings, probe_by = n.probe_by,
        probe_owner = n.probe_owner, told = n.told, swept_at = n.swept_at, requests_pace = n.requests_pace, tokens_pace = n.tokens_pace
    from unnest(p_rows) as n where n.name = r.name and n is distinct from r
$$;

create or replace function interlock.rates_take(p_asks jsonb, p_owner text)
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
                rows[i].requests_at := interlock.rate_at_pace(at, rows[i].requests_at, rows[i].requests_pace, cost);
                rows[i].requests_line := interlock.rate_at_pace(at, rows[i].requests_line, rows[i].requests_pace, cost);
                rows[i].requests_pace := cost;
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
                cost := 60 / (bound ->> 'tokens')::double precision;
                rows[i].tokens_at := interlock.rate_at_pace(at, rows[i].tokens_at, rows[i].tokens_pace, cost);
                rows[i].tokens_line := interlock.rate_at_pace(at, rows[i].tokens_line, rows[i].tokens_pace, cost);
                rows[i].tokens_pace := cost;
                cost := cost * (ask ->> 'tokens')::double precision;
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

create or replace function interlock.rates_settle(p_ends jsonb, p_failures integer, p_of integer, p_within double precision, p_open double precision)
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
            rows[i].tokens_at := rows[i].tokens_at
                + (part ->> 'seconds')::double precision * interlock.rate_ratio((part ->> 'pace')::double precision, rows[i].tokens_pace);
            if part ->> 'share' is not null then
                rows[i].token_share := least(greatest(
                    rows[i].token_share * 0.9 + 0.1 * (part ->> 'share')::double precision, 0.05), 1);
            end if;
        end loop;
        for part in select jsonb_array_elements(ending -> 'left') loop  -- its place in line, which it does not need any more
            i := array_position(names, part ->> 'name');
            rows[i].requests_line := rows[i].requests_line - (part ->> 'requests')::double precision
                * interlock.rate_ratio((part ->> 'requests')::double precision, rows[i].requests_pace);
            rows[i].tokens_line := rows[i].tokens_line - (part ->> 'tokens')::double precision * rows[i].token_share
                * interlock.rate_ratio((part ->> 'pace')::double precision, rows[i].tokens_pace);
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
