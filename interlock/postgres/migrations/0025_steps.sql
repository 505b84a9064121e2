-- Charges what was taken already, and a superstep for each key that was not taken before, whatever the limits say.
create function interlock.budget_charge_steps(p_kinds text[], p_names text[], p_taken numeric[], p_keys text[], p_step numeric[])
returns void language plpgsql as $$
declare
    fresh integer;
begin
    perform interlock.budgets_lock(p_kinds, p_names);
    insert into interlock.budget_entries (key, kinds, names, status, spent, ended_at)
    select distinct k, p_kinds, p_names, 'spent', p_step, now() from unnest(p_keys) as k
    on conflict (key) do nothing;
    get diagnostics fresh = row_count;
    update interlock.budgets b
    set spent = interlock.amounts_plus(b.spent, interlock.amounts_plus(p_taken, array(
            select s * fresh from unnest(p_step) with ordinality as t (s, i) order by i
        ))),
        updated_at = now()
    where (b.kind, b.name) in (select k, n from unnest(p_kinds, p_names) as s (k, n));
end
$$;
