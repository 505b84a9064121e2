-- Whether a limit is stored for a run, or for its thread, graph or tenant.
create function interlock.is_limited(a_run text, a_thread text, a_graph text, a_tenant text) returns boolean language sql stable as $$
    select exists (
        select from unnest(array['run', 'thread', 'graph', 'tenant'], array[a_run, a_thread, a_graph, a_tenant]) as s (kind, name)
        join interlock.budgets b on b.kind = s.kind and b.name = s.name
        where b.limits <> array_fill(null::numeric, array[8])
    )
$$;

-- Charges supersteps and seconds that were taken already to budgets, each named once, whatever the limits say. As
-- `interlock.budgets_lock` does it: in one order for all callers, and who waits for the rows does not wait for the disk.
create function interlock.budget_charge_time(p_kinds text[], p_names text[], p_steps numeric[], p_seconds numeric[])
returns void language plpgsql as $$
begin
    perform set_config('synchronous_commit', 'off', true);
    insert into interlock.budgets as b (kind, name, spent)
    select s.kind, s.name, array[0, 0, 0, 0, s.steps, s.seconds, 0, 0]
    from unnest(p_kinds, p_names, p_steps, p_seconds) as s (kind, name, steps, seconds) order by s.kind, s.name
    on conflict (kind, name) do update set
        spent = b.spent[:4] || (b.spent[5] + excluded.spent[5]) || (b.spent[6] + excluded.spent[6]) || b.spent[7:],
        -- An index is on the time: it is not written anew for each of many runs.
        updated_at = case when b.updated_at > now() - interval '1 second' then b.updated_at else now() end;
end
$$;
