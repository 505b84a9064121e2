-- What an act and a model call cost: fewer and smaller statements, planned once for a session, and rows that stay on their page.

-- Sums of amounts, always eight: written out so that they become part of the statement that asks for them.
create or replace function interlock.amounts_plus(a numeric[], b numeric[]) returns numeric[] language sql immutable parallel safe as $$
    select array[
        coalesce(a[1], 0) + coalesce(b[1], 0), coalesce(a[2], 0) + coalesce(b[2], 0), coalesce(a[3], 0) + coalesce(b[3], 0),
        coalesce(a[4], 0) + coalesce(b[4], 0), coalesce(a[5], 0) + coalesce(b[5], 0), coalesce(a[6], 0) + coalesce(b[6], 0),
        coalesce(a[7], 0) + coalesce(b[7], 0), coalesce(a[8], 0) + coalesce(b[8], 0)
    ]
$$;

create or replace function interlock.amounts_beyond(a numeric[], b numeric[]) returns numeric[] language sql immutable parallel safe as $$
    select array[
        greatest(coalesce(a[1], 0) - coalesce(b[1], 0), 0), greatest(coalesce(a[2], 0) - coalesce(b[2], 0), 0),
        greatest(coalesce(a[3], 0) - coalesce(b[3], 0), 0), greatest(coalesce(a[4], 0) - coalesce(b[4], 0), 0),
        greatest(coalesce(a[5], 0) - coalesce(b[5], 0), 0), greatest(coalesce(a[6], 0) - coalesce(b[6], 0), 0),
        greatest(coalesce(a[7], 0) - coalesce(b[7], 0), 0), greatest(coalesce(a[8], 0) - coalesce(b[8], 0), 0)
    ]
$$;

create or replace function interlock.amounts_minus(a numeric[], b numeric[]) returns numeric[] language sql immutable parallel safe as $$
    select array[
        coalesce(a[1], 0) - coalesce(b[1], 0), coalesce(a[2], 0) - coalesce(b[2], 0), coalesce(a[3], 0) - coalesce(b[3], 0),
        coalesce(a[4], 0) - coalesce(b[4], 0), coalesce(a[5], 0) - coalesce(b[5], 0), coalesce(a[6], 0) - coalesce(b[6], 0),
        coalesce(a[7], 0) - coalesce(b[7], 0), coalesce(a[8], 0) - coalesce(b[8], 0)
    ]
$$;

-- When a budget was taken from last, to a second: an index is on it, which is not written anew for each of many calls.
create function interlock.budget_touched(last timestamptz) returns timestamptz language sql stable as $$
    select case when last > now() - interval '1 second' then last else now() end
$$;

-- Takes amounts from all budgets or from none. `taken`, `known` where this key was taken before, or `refused` with the
-- budget's number, the unit's number, the limit, and what is left of it. All that changes what is held locks the entry
-- first and then the budgets, in one order. It is taken and then looked at: who is refused gives back what nobody saw.
create or replace function interlock.budget_reserve(
    p_key text, p_owner text, p_kinds text[], p_names text[], p_defaults numeric[], p_ceilings numeric[], p_keeps numeric[],
    p_wanted numeric[], p_at_once boolean
) returns table (verdict text, scope integer, unit integer, bound numeric, rest numeric) language plpgsql
set plan_cache_mode = 'force_generic_plan' as $$
declare
    -- Whoever waits for the budgets must not wait for the disk too. A crash of the server loses at most what came after
    -- the last commit of the run that waited for it: a step, an intention, a model call's row.
    asynchronously text := set_config('synchronous_commit', 'off', true);
    fresh boolean;
    known text;
    holds numeric[] := case when p_at_once then null else p_wanted end;
    spends numeric[] := case when p_at_once then p_wanted end;
    nothing constant numeric[] := '{0,0,0,0,0,0,0,0}';
begin
    insert into interlock.budget_entries (key, kinds, names, status, owner, held, spent, ended_at)
    values (
        p_key, p_kinds, p_names, case when p_at_once then 'spent' else 'held' end, p_owner, holds, spends,
        case when p_at_once then now() end
    )
    on conflict (key) do nothing;
    fresh := found;
    if not fresh then
        select e.status into known from interlock.budget_entries e where e.key = p_key for update;
        if known in ('held', 'spent') then
            return query select 'known', 0, 0, 0::numeric, 0::numeric;
            return;
        end if;
    end if;
    with taken as (
        insert into interlock.budgets as b (kind, name, held, spent)
        select distinct s.k, s.n, coalesce(holds, nothing), coalesce(spends, nothing)
        from unnest(p_kinds, p_names) as s (k, n) order by s.k, s.n
        on conflict (kind, name) do update
        set held = case when p_at_once then b.held else interlock.amounts_plus(b.held, p_wanted) end,
            spent = case when p_at_once then interlock.amounts_plus(b.spent, p_wanted) else b.spent end,
            updated_at = interlock.budget_touched(b.updated_at)
        returning b.kind, b.name, b.limits, b.spent, b.held
    )
    select 'refused', s.i::integer, u::integer, l.bound, l.rest + p_wanted[u] into verdict, scope, unit, bound, rest
    from unnest(p_kinds, p_names) with ordinality as s (k, n, i)
    join taken b on b.kind = s.k and b.name = s.n
    cross join generate_series(1, 8) as u
    cross join lateral (select least(coalesce(b.limits[u], p_defaults[s.i][u]), p_ceilings[s.i][u]) as bound) as c
    cross join lateral (
        select c.bound,
            c.bound - b.spent[u] - b.held[u] - case
                when p_keeps[s.i] = 0 then 0
                when u in (4, 6) then round(c.bound * p_keeps[s.i], 9)  -- dollars and seconds have parts
                else greatest(ceil(round(c.bound * p_keeps[s.i], 9)), case when u = 5 then 1 else 0 end)  -- a step to land in
            end as rest
    ) as l
    where p_wanted[u] > 0 and l.rest < 0
    order by s.i, u limit 1;
    if found then
        update interlock.budgets b
        set held = interlock.amounts_minus(b.held, holds), spent = interlock.amounts_minus(b.spent, spends)
        where (b.kind, b.name) in (select k, n from unnest(p_kinds, p_names) as s (k, n));
        if fresh then
            delete from interlock.budget_entries e where e.key = p_key;
        end if;
        return next;
        return;
    end if;
    if not fresh then
        update interlock.budget_entries e
        set kinds = p_kinds, names = p_names, status = case when p_at_once then 'spent' else 'held' end, owner = p_owner, held = holds,
            spent = spends, taken_at = now(), ended_at = case when p_at_once then now() end
        where e.key = p_key;
    end if;
    return query select 'taken', 0, 0, 0::numeric, 0::numeric;
end
$$;

-- Charges what was taken in full, and lets the rest of what was held go; once.
create or replace function interlock.budget_settle(
    p_key text, p_kinds text[], p_names text[], p_taken numeric[], p_model text, p_prices text, p_estimated boolean
) returns void language plpgsql
set plan_cache_mode = 'force_generic_plan' as $$
declare
    asynchronously text := set_config('synchronous_commit', 'off', true);
    was_held numeric[];
    goes numeric[];
    beyond numeric[];
begin
    update interlock.budget_entries e
    set status = 'spent', spent = p_taken, model = p_model, prices = p_prices, estimated = p_estimated, ended_at = now()
    where e.key = p_key and e.status = 'held' returning e.held into was_held;
    if found then
        goes := was_held;
    else  -- it was given back because its process was taken for dead, or nobody reserved it
        insert into interlock.budget_entries as e (key, kinds, names, status, spent, model, prices, estimated, ended_at)
        values (p_key, p_kinds, p_names, 'spent', p_taken, p_model, p_prices, p_estimated, now())
        on conflict (key) do update
        set status = 'spent', spent = excluded.spent, model = excluded.model, prices = excluded.prices, estimated = excluded.estimated,
            ended_at = now()
        where e.status = 'lost'
        returning e.held into was_held;
        if not found then
            return;
        end if;
    end if;
    beyond := interlock.amounts_beyond(p_taken, was_held);
    insert into interlock.budgets as b (kind, name, spent, over, estimated)
    select distinct s.k, s.n, p_taken, beyond, p_estimated::integer from unnest(p_kinds, p_names) as s (k, n) order by s.k, s.n
    on conflict (kind, name) do update
    set held = case when goes is null then b.held else interlock.amounts_minus(b.held, goes) end,
        spent = interlock.amounts_plus(b.spent, p_taken),
        over = interlock.amounts_plus(b.over, beyond),
        estimated = b.estimated + excluded.estimated,
        updated_at = interlock.budget_touched(b.updated_at);
end
$$;

-- Gives back what was held, or spent at once; once. `lost` gives back only what is held. Returns whether it did.
create or replace function interlock.budget_release(p_key text, p_status text) returns boolean language plpgsql
set plan_cache_mode = 'force_generic_plan' as $$
declare
    known interlock.budget_entries;
begin
    update interlock.budget_entries e set status = p_status, ended_at = now()
    where e.key = p_key and (e.status = 'held' or (e.status = 'spent' and p_status <> 'lost'))
    returning e.* into known;
    if not found then
        return false;
    end if;
    perform interlock.budgets_lock(known.kinds, known.names);
    update interlock.budgets b
    set held = case when known.spent is null then interlock.amounts_minus(b.held, known.held) else b.held end,
        spent = interlock.amounts_minus(b.spent, known.spent),  -- null is nothing: it was held
        updated_at = interlock.budget_touched(b.updated_at)
    where (b.kind, b.name) in (select k, n from unnest(known.kinds, known.names) as s (k, n));
    return true;
end
$$;

-- Charges what was taken already, whatever the limits say: what a sum has grown by since it was last charged under its
-- key, all of it where the key is empty, and a step for each key that was not taken before.
create function interlock.budget_charge_sum(
    p_key text, p_kinds text[], p_names text[], p_sum numeric[], p_keys text[], p_step numeric[]
) returns void language plpgsql
set plan_cache_mode = 'force_generic_plan' as $$
declare
    asynchronously text := set_config('synchronous_commit', 'off', true);
    charged numeric[];
    adds numeric[] := p_sum;
    fresh integer;
begin
    if p_key <> '' then
        insert into interlock.budget_entries (key, kinds, names, status, spent, ended_at)
        values (p_key, p_kinds, p_names, 'spent', p_sum, now())
        on conflict (key) do nothing;
        if not found then
            select e.spent into charged from interlock.budget_entries e where e.key = p_key for update;
            adds := interlock.amounts_beyond(p_sum, charged);
            update interlock.budget_entries e set spent = interlock.amounts_plus(charged, adds), ended_at = now() where e.key = p_key;
        end if;
    end if;
    if p_keys <> '{}' then
        insert into interlock.budget_entries (key, kinds, names, status, spent, ended_at)
        select distinct k, p_kinds, p_names, 'spent', p_step, now() from unnest(p_keys) as k order by k
        on conflict (key) do nothing;
        get diagnostics fresh = row_count;
        for unit in 1..8 loop
            adds[unit] := adds[unit] + fresh * p_step[unit];
        end loop;
    end if;
    insert into interlock.budgets as b (kind, name, spent)
    select distinct s.k, s.n, adds from unnest(p_kinds, p_names) as s (k, n) order by s.k, s.n
    on conflict (kind, name) do update
    set spent = interlock.amounts_plus(b.spent, adds), updated_at = interlock.budget_touched(b.updated_at);
end
$$;

-- For workers of before, in the same order.
create or replace function interlock.budget_charge(p_kinds text[], p_names text[], p_taken numeric[]) returns void language sql as $$
    select interlock.budget_charge_sum('', p_kinds, p_names, p_taken, '{}', null)
$$;

create or replace function interlock.budget_charge_steps(p_kinds text[], p_names text[], p_taken numeric[], p_keys text[], p_step numeric[])
returns void language sql as $$
    select interlock.budget_charge_sum('', p_kinds, p_names, p_taken, p_keys, p_step)
$$;

-- Write an intention that nothing stands against, and return which attempt it is; null means that something does.
-- Each question is a statement of its own, so that none is begun that need not be asked; they are planned once for a session.
create or replace function interlock.begin_effect(
    its_key text, its_thread text, its_run text, its_node text, its_agent text, its_task text, its_checkpoint text,
    its_action text, its_request text, was_asked_for text, its_arguments jsonb, its_cost double precision,
    can_be_undone boolean, only_reads boolean, its_verdict jsonb, its_approval text, its_owner text,
    its_worker text, earlier_keys text[]
) returns integer language plpgsql
set plan_cache_mode = 'force_generic_plan' as $$
declare
    its_attempt integer;
begin
    if its_worker <> '' then
        perform from interlock.workers w where w.worker_id = its_worker for key share;
        if not found then
            return null;
        end if;
    end if;
    if exists (
        select from interlock.questions q
        where q.effect = its_key and q.kind = 'approval' and q.status <> 'withdrawn' and q.question_id is distinct from its_approval
            and (its_approval is null or q.status = 'open' or q.granted = '')  -- a rejection stands beside an approval
    ) then
        return null;
    end if;
    if its_approval is not null then
        if not exists (
            select from interlock.questions q
            where q.question_id = its_approval and q.thread_id = its_thread and q.status = 'answered' and q.granted = its_request
        ) then
            return null;
        end if;
    elsif not can_be_undone then
        if earlier_keys <> '{}' and exists (
            select from interlock.effects e where e.key = any(earlier_keys) and e.status <> 'not_done'
        ) then
            return null;
        end if;
        if exists (
            select from interlock.branches(its_thread) as branch (thread_id)
            cross join lateral (
                select from interlock.effects e
                where e.thread_id = branch.thread_id and e.action = its_action and e.status <> 'not_done' and e.source is null
                order by e.intended_at limit 1
            ) done
        ) then
            return null;
        end if;
    end if;
    insert into interlock.effects as held (
        key, thread_id, run_id, node, agent, task, checkpoint_id, action, request, asked_for, arguments, cost, reversible, reads, verdict,
        approval, owner
    )
    values (
        its_key, its_thread, its_run, its_node, its_agent, its_task, its_checkpoint, its_action, its_request, was_asked_for,
        its_arguments, its_cost, can_be_undone, only_reads, its_verdict, its_approval, its_owner
    )
    on conflict (key) do update set
        status = 'intended', attempt = held.attempt + 1, owner = excluded.owner, error = '', request = excluded.request,
        asked_for = excluded.asked_for, arguments = excluded.arguments, cost = excluded.cost, verdict = excluded.verdict,
        approval = excluded.approval, run_id = excluded.run_id, settled_by = '', intended_at = now()
    where held.status = 'not_done'
    returning held.attempt into its_attempt;
    return its_attempt;
end
$$;

-- The same for the first act of its kind at a task: what attempts before this one left of it, and this one has not asked for, stands
-- against it. What they left is told, for the acts after it: nobody adds to that.
create function interlock.begin_first_effect(
    its_key text, its_thread text, its_run text, its_node text, its_agent text, its_task text, its_checkpoint text,
    its_action text, its_request text, was_asked_for text, its_arguments jsonb, its_cost double precision,
    can_be_undone boolean, only_reads boolean, its_verdict jsonb, its_owner text,
    its_worker text, asked_keys text[], abandoned_since text[], abandoned_before text[],
    out attempt integer, out earlier text[]
) language plpgsql
set plan_cache_mode = 'force_generic_plan' as $$
begin
    earlier := array(
        select e.key from interlock.effects e
        where e.task = its_task and e.action = its_action and e.thread_id = its_thread and e.status <> 'not_done'
    );
    if abandoned_since <> '{}' then
        earlier := earlier || array(
            select e.key from unnest(abandoned_since, abandoned_before) as a (since, before)
            join interlock.effects e on e.thread_id = its_thread and e.checkpoint_id >= a.since and e.checkpoint_id < a.before
            where e.action = its_action and e.status <> 'not_done'
        );
    end if;
    attempt := interlock.begin_effect(
        its_key, its_thread, its_run, its_node, its_agent, its_task, its_checkpoint, its_action, its_request, was_asked_for,
        its_arguments, its_cost, can_be_undone, only_reads, its_verdict, null, its_owner, its_worker,
        array(select k from unnest(earlier) as k where k <> all(asked_keys))
    );
end
$$;
