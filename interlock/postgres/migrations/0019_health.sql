-- What limits are stored is looked at each second while somebody watches, and every run has a budget.
create index budgets_limited on interlock.budgets (kind, name) where limits <> array_fill(null::numeric, array[8]);

-- Who watches a run remembers a snapshot, and asks for what was not visible in it: so nothing is missed that was committed
-- late, and nothing is told twice. In rows of other tables `xmin` says it; here it may be a subtransaction's.
alter table interlock.run_events add column transaction xid8 not null default pg_current_xact_id();

-- Whether what a transaction wrote was visible in a snapshot; the transaction is visible now. The upper half of its number is
-- not stored with rows: it is the latest that lies before now.
create function interlock.was_visible(x xid, snapshot pg_snapshot) returns boolean language sql stable as $$
    select pg_visible_in_snapshot(
        (case when low < 3 then '3' else (
            (high << 32) + low - case when low >= (most & 4294967295) and high > 0 then 4294967296 else 0 end
        )::text end)::xid8, snapshot
    )
    from (
        select x::text::bigint as low, most >> 32 as high, most
        from (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as most) as n
    ) as numbers
$$;
