-- What the store of several versions side by side must agree on: whether its items are encrypted, and what its vectors are like.

-- Since when processes that have a key encrypt items. Those of the version before cannot open them, so that an installation that
-- has run before begins with `interlock db seal-items`, once they are gone.
create table interlock.item_sealing (
    one boolean primary key default true check (one),
    since timestamptz not null default clock_timestamp()
);
insert into interlock.item_sealing
select where not exists (select from interlock.runs) and not exists (select from store);

-- The vector that the model made of a text which is always the same, when it was first used.
create table interlock.item_probe (
    text text primary key,
    vector real[] not null,
    since timestamptz not null default clock_timestamp()
);

insert into interlock.row_rules (table_name, rule) values ('item_sealing', 'true'), ('item_probe', 'true')
on conflict (table_name) do update set rule = excluded.rule;

-- Few or all items are encrypted: who has no key learns at once whether a search would have to look into any.
create index if not exists store_sealed on store (prefix text_pattern_ops) where value ? '__interlock_sealed__';

-- Forget what the vectors are made with, while they are made anew.
create or replace function interlock.unindex_items() returns void language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('interlock.index_items', 7919));
    delete from interlock.item_index;
    delete from interlock.item_probe;
    if to_regclass('store_vectors') is not null then
        delete from store_vectors;
    end if;
end
$$;
