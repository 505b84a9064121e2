-- reserve: take amounts from all budgets or from none
select * from interlock.budget_reserve(
    %(key)s, %(owner)s, %(kinds)s::text[], %(names)s::text[], %(defaults)s::numeric[], %(ceilings)s::numeric[], %(keeps)s::numeric[],
    %(wanted)s::numeric[], %(at_once)s
);

-- reserve_left: the same for budgets that refused lately: written is only what is granted
select * from interlock.budget_reserve_left(
    %(key)s, %(owner)s, %(kinds)s::text[], %(names)s::text[], %(defaults)s::numeric[], %(ceilings)s::numeric[], %(keeps)s::numeric[],
    %(wanted)s::numeric[], %(at_once)s
);

-- settle: charge what was taken, and let the rest of what was held go
select interlock.budget_settle(
    %(key)s, %(kinds)s::text[], %(names)s::text[], %(taken)s::numeric[], %(model)s, %(prices)s, %(estimated)s
);

-- release: give back what was held or spent under a key
select interlock.budget_release(%(key)s, %(status)s) as released;

-- charge: charge what was taken already, and was not charged before under its key; and supersteps under keys that are new
select interlock.budget_charge_sum(
    %(key)s, %(kinds)s::text[], %(names)s::text[], %(taken)s::numeric[], %(keys)s::text[], %(step)s::numeric[]
);

-- charge_time: charge supersteps and seconds of many runs that have ended
select interlock.budget_charge_time(%(kinds)s::text[], %(names)s::text[], %(steps)s::numeric[], %(seconds)s::numeric[]);

-- accounts: some budgets
select b.* from interlock.budgets b
where (b.kind, b.name) in (select k, n from unnest(%(kinds)s::text[], %(names)s::text[]) as s (k, n));

-- latest: the budgets that something was taken from lately, or that have a limit
select b.* from interlock.budgets b
where (%(kind)s::text is null or b.kind = %(kind)s) and (not %(limited)s or b.limits <> array_fill(null::numeric, array[8]))
order by b.updated_at desc limit %(limit)s;

-- limit: store a budget's limits
insert into interlock.budgets (kind, name, limits, landing) values (%(kind)s, %(name)s, %(limits)s::numeric[], %(landing)s)
on conflict (kind, name) do update set limits = excluded.limits, landing = excluded.landing, updated_at = now();

-- land: note that a run is steered to its landing, unless it was before
insert into interlock.budgets as b (kind, name, landed) values ('run', %(name)s, %(landed)s)
on conflict (kind, name) do update set landed = coalesce(b.landed, excluded.landed)
returning landed;

-- held_by_the_dead: what is held by processes that do not live any more
select key from interlock.budget_entries
where status = 'held' and owner in (
    select owner from (select distinct owner from interlock.budget_entries where status = 'held') as owners
    where not interlock.lives(owner)
)
order by key;
