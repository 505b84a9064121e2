-- What the vectors of the store's items were made with, so that those of two models are never compared.
create table interlock.item_index (
    one boolean primary key default true check (one),
    embed text not null,  -- as langgraph.json names it
    dims integer not null,
    since timestamptz not null default clock_timestamp()
);

insert into interlock.row_rules (table_name, rule) values
    ('item_index', 'true'),
    ('store_vectors', 'split_part(prefix, ''.'', 1) = interlock.store_label({mine})'),
    ('vector_migrations', 'true')
on conflict (table_name) do update set rule = excluded.rule;

-- Make the table of vectors where there is none, and return what its vectors are made with. It is LangGraph's table without an
-- index: one over the items of all tenants returns the nearest of all, and what is left of them after the namespace is looked
-- at may be nothing. LangGraph's own setup finds its steps done. Vectors of an older version count as made with the same name.
create function interlock.index_items(a_name text, its_dims integer, out embed text, out dims integer) language plpgsql as $$
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
    create table if not exists vector_migrations (v integer primary key);
    insert into vector_migrations (v) values (0), (1), (2) on conflict do nothing;
    insert into interlock.item_index (embed, dims) values (a_name, its_dims)
    returning item_index.embed, item_index.dims into index_items.embed, index_items.dims;
end
$$;

-- Forget what the vectors are made with, while they are made anew.
create function interlock.unindex_items() returns void language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('interlock.index_items', 7919));
    delete from interlock.item_index;
    if to_regclass('store_vectors') is not null then
        delete from store_vectors;
    end if;
end
$$;
