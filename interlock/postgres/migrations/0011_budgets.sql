-- What runs, threads, graphs and tenants may take, have taken, and hold for calls that are under way.
-- Amounts are arrays in the order of interlock.core.budget.UNITS:
-- input_tokens, output_tokens, tokens, usd, steps, seconds, model_calls, actions.
create table interlock.budgets (
    kind text not null check (kind in ('run', 'thread', 'graph', 'tenant')),
    name text not null,
    limits numeric[] not null default array_fill(null::numeric, array[8]),  -- null: no limit is stored
    landing numeric not null default 0,  -- the share that is kept back for landing
    spent numeric[] not null default array_fill(0::numeric, array[8]),
    held numeric[] not null default array_fill(0::numeric, array[8]),
    over numeric[] not null default array_fill(0::numeric, array[8]),  -- what calls took beyond what was reserved for them
    estimated integer not null default 0,  -- calls that were counted by us: their provider reported nothing
    landed jsonb,  -- of a run: when and why it was steered to its landing
    updated_at timestamptz not null default now(),
    primary key (kind, name)
) with (fillfactor = 50);  -- its rows change with each call: they stay on their page, and no index grows
create index budgets_updated on interlock.budgets (kind, updated_at desc);

-- What was taken, each under a key that names it in all attempts.
create table interlock.budget_entries (
    key text primary key,
    kinds text[] not null,  -- the budgets that it is taken from: kinds and names side by side
    names text[] not null,
    status text not null check (status in ('held', 'spent', 'released', 'lost')),  -- lost: its process died, it was given back
    owner text not null default '',  -- names the lock of the process that holds it
    held numeric[],  -- what was reserved; null for what nobody reserved
    spent numeric[],  -- what it took
    model text not null default '',
    prices text not null default '',  -- version of the price table
    estimated boolean not null default false,  -- counted by us: the provider reported nothing
    taken_at timestamptz not null default now(),
    ended_at timestamptz
);
create index budget_entries_held on interlock.budget_entries (owner) where status = 'held';

create function interlock.amounts_plus(a numeric[], b numeric[]) returns numeric[] language sql immutable parallel safe as $$
    select array_agg(coalesce(x, 0) + coalesce(y, 0) order by i) from unnest(a, b) with ordinality as t (x, y, i)
$$;

create function interlock.amounts_minus(a numeric[], b numeric[]) returns numeric[] language sql immutable parallel safe as $$
    select array_agg(coalesce(x, 0) - coalesce(y, 0) order by i) from unnest(a, b) with ordinality as t (x, y, i)
$$;

create function interlock.amounts_beyond(a numeric[], b numeric[]) returns numeric[] language sql immutable parallel safe as $$
    select array_agg(greatest(coalesce(x, 0) - coalesce(y, 0), 0) order by i) from unnest(a, b) with ordinality as t (x, y, i)
$$;

-- Locks some budgets for this transaction, in one order for all callers, and makes those that do not exist.
create function interlock.budgets_lock(p_kinds text[], p_names text[]) returns void language plpgsql as $$
begin
    insert into interlock.budgets (kind, name)
    select distinct k, n from unnest(p_kinds, p_names) as s (k, n) order by k, n
    on conflict (kind, name) do nothing;
    perform from interlock.budgets b
    where (b.kind, b.name) in (select k, n from unnest(p_kinds, p_names) as s (k, n))
    order by b.kind, b.name for update;
    -- Whoever waits for these rows must not wait for the disk too. A crash of the server loses at most what came after
    -- the last commit of the run that waited for it: a step, an intention, a model call's row.
    perform set_config('synchronous_commit', 'off', true);
end
$$;

-- Takes amounts from all budgets or from none. `taken`, `known` where this key was taken before, or `refused` with the
-- budget's number, the unit's number, the limit, and what is left of it.
create function interlock.budget_reserve(
    p_key text, p_owner text, p_kinds text[], p_names text[], p_defaults numeric[], p_ceilings numeric[], p_keeps numeric[],
    p_wanted numeric[], p_at_once boolean
) returns table (verdict text, scope integer, unit integer, bound numeric, rest numeric) language plpgsql as $$
declare
    known text;
begin
    perform interlock.budgets_lock(p_kinds, p_names);
    select e.status into known from interlock.budget_entries e where e.key = p_key;
    if known in ('held', 'spent') then
        return query select 'known', 0, 0, 0::numeric, 0::numeric;
        return;
    end if;
    return query
        select 'refused', s.i::integer, u::integer, l.bound, l.rest
        from unnest(p_kinds, p_names) with ordinality as s (k, n, i)
        join interlock.budgets b on b.kind = s.k and b.name = s.n
        cross join generate_series(1, array_length(p_wanted, 1)) as u
        cross join lateral (select least(coalesce(b.limits[u], p_defaults[s.i][u]), p_ceilings[s.i][u]) as bound) as c
        cross join lateral (
            select c.bound,
                c.bound - b.spent[u] - b.held[u] - case
                    when p_keeps[s.i] = 0 then 0
                    when u in (4, 6) then round(c.bound * p_keeps[s.i], 9)  -- dollars and seconds have parts
                    else greatest(ceil(round(c.bound * p_keeps[s.i], 9)), case when u = 5 then 1 else 0 end)  -- a step to land in
                end as rest
        ) as l
        where p_wanted[u] > 0 and l.rest < p_wanted[u]
        order by s.i, u limit 1;
    if found then
        return;
    end if;
    insert into interlock.budget_entries as e (key, kinds, names, status, owner, held, spent, ended_at)
    values (
        p_key, p_kinds, p_names, case when p_at_once then 'spent' else 'held' end, p_owner,
        case when p_at_once then null else p_wanted end, case when p_at_once then p_wanted end, case when p_at_once then now() end
    )
    on conflict (key) do update
    set status = excluded.status, owner = excluded.owner, held = excluded.held, spent = excluded.spent, taken_at = now(),
        ended_at = excluded.ended_at;
    update interlock.budgets b
    set held = case when p_at_once then b.held else interlock.amounts_plus(b.held, p_wanted) end,
        spent = case when p_at_once then interlock.amounts_plus(b.spent, p_wanted) else b.spent end,
        updated_at = now()
    where (b.kind, b.name) in (select k, n from unnest(p_kinds, p_names) as s (k, n));
    return query select 'taken', 0, 0, 0::numeric, 0::numeric;
end
$$;

-- Charges what was taken in full, and lets the rest of what was held go; once.
create function interlock.budget_settle(
    p_key text, p_kinds text[], p_names text[], p_taken numeric[], p_model text, p_prices text, p_estimated boolean
) returns void language plpgsql as $$
declare
    known interlock.budget_entries;
begin
    perform interlock.budgets_lock(p_kinds, p_names);
    select * into known from interlock.budget_entries e where e.key = p_key;
    if known.status in ('spent', 'released') then
        return;
    end if;
    insert into interlock.budget_entries as e (key, kinds, names, status, spent, model, prices, estimated, ended_at)
    values (p_key, p_kinds, p_names, 'spent', p_taken, p_model, p_prices, p_estimated, now())
    on conflict (key) do update
    set status = 'spent', spent = excluded.spent, model = excluded.model, prices = excluded.prices, estimated = excluded.estimated,
        ended_at = now();
    update interlock.budgets b
    set held = case when known.status = 'held' then interlock.amounts_minus(b.held, known.held) else b.held end,
        spent = interlock.amounts_plus(b.spent, p_taken),
        over = interlock.amounts_plus(b.over, interlock.amounts_beyond(p_taken, known.held)),
        estimated = b.estimated + p_estimated::integer,
        updated_at = now()
    where (b.kind, b.name) in (select k, n from unnest(p_kinds, p_names) as s (k, n));
end
$$;

-- Gives back what was held, or spent at once; once. `lost` gives back only what is held. Returns whether it did.
create function interlock.budget_release(p_key text, p_status text) returns boolean language plpgsql as $$
declare
    known interlock.budget_entries;
begin
    select * into known from interlock.budget_entries e where e.key = p_key;
    if known.key is null then
        return false;
    end if;
    perform interlock.budgets_lock(known.kinds, known.names);
    select * into known from interlock.budget_entries e where e.key = p_key;
    if known.status not in ('held', 'spent') or (p_status = 'lost' and known.status <> 'held') then
        return false;
    end if;
    update interlock.budget_entries set status = p_status, ended_at = now() where key = p_key;
    update interlock.budgets b
    set held = case when known.status = 'held' then interlock.amounts_minus(b.held, known.held) else b.held end,
        spent = case when known.status = 'spent' then interlock.amounts_minus(b.spent, known.spent) else b.spent end,
        updated_at = now()
    where (b.kind, b.name) in (select k, n from unnest(known.kinds, known.names) as s (k, n));
    return true;
end
$$;

-- Charges what was taken already, whatever the limits say.
create function interlock.budget_charge(p_kinds text[], p_names text[], p_taken numeric[]) returns void language plpgsql as $$
begin
    perform interlock.budgets_lock(p_kinds, p_names);
    update interlock.budgets b set spent = interlock.amounts_plus(b.spent, p_taken), updated_at = now()
    where (b.kind, b.name) in (select k, n from unnest(p_kinds, p_names) as s (k, n));
end
$$;
