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

-- Make the table of vectors as before, with the vectors in their rows: out of line each search fetches and puts together every one
-- of them, which takes most of its time from some five hundred numbers on. What is stored stays where it is until it is made anew.
create or replace function interlock.index_items(a_name text, its_dims integer, out embed text, out dims integer) language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('interlock.index_items', 7919));
    select i.embed, i.dims into index_items.embed, index_items.dims from interlock.item_index i;
    if found then
        return;
    end if;
    create extension if not exists vector;
    create table if not exists store_vectors (
        prefix text not null,
        key text not null,
        field_name text not null,
        embedding vector not null,
        created_at timestamptz default current_timestamp,
        updated_at timestamptz default current_timestamp,
        primary key (prefix, key, field_name),
        foreign key (prefix, key) references store (prefix, key) on delete cascade
    );
    select a_name, a.atttypmod into index_items.embed, index_items.dims from pg_attribute a
    where a.attrelid = 'store_vectors'::regclass and a.attname = 'embedding' and a.atttypmod not in (-1, its_dims)
        and exists (select from store_vectors);
    if found then
        return;
    end if;
    drop index if exists store_vectors_embedding_idx;
    execute format('alter table store_vectors alter column embedding type vector(%s)', its_dims);
    alter table store_vectors alter column embedding set storage main;
    create table if not exists vector_migrations (v integer primary key);
    insert into vector_migrations (v) values (0), (1), (2) on conflict do nothing;
    insert into interlock.item_index (embed, dims) values (a_name, its_dims)
    returning item_index.embed, item_index.dims into index_items.embed, index_items.dims;
end
$$;

do $$
begin
    if exists (select from pg_class c where c.oid = to_regclass('store_vectors') and pg_has_role(c.relowner, 'usage')) then
        alter table store_vectors alter column embedding set storage main;
    end if;
end
$$;

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
