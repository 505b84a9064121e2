-- get: items of one namespace, without refreshing how long they live
select key, value, created_at, updated_at from store
where prefix = %(prefix)s and key = any(%(keys)s) and (expires_at is null or expires_at > now());

-- expire: delete items whose time is over
delete from store where expires_at <= now() and prefix like 'tenant=%%';

-- index: make the table of vectors where there is none; what its vectors are made with
select * from interlock.index_items(%(embed)s, %(dims)s);

-- unindex: forget all vectors, and what they were made with
select interlock.unindex_items();

-- forget: the vectors of items that are put again, as some of them may not be made again
delete from store_vectors v using unnest(%(prefixes)s::text[], %(keys)s::text[]) as put (prefix, key)
where v.prefix = put.prefix and v.key = put.key;

-- vectors: of items that were put just now
insert into store_vectors (prefix, key, field_name, embedding)
select v.prefix, v.key, v.field, v.embedding::vector
from unnest(%(prefixes)s::text[], %(keys)s::text[], %(fields)s::text[], %(embeddings)s::text[]) as v (prefix, key, field, embedding)
on conflict (prefix, key, field_name) do update set embedding = excluded.embedding, updated_at = current_timestamp;

-- page: items in order, after one of them
select prefix, key, value, updated_at from store
where (prefix, key) > (%(prefix)s, %(key)s) and prefix like 'tenant=%%' and (expires_at is null or expires_at > now())
order by prefix, key limit %(limit)s;

-- fill: vectors of items that have not changed since they were read, and have none yet
insert into store_vectors (prefix, key, field_name, embedding)
select v.prefix, v.key, v.field, v.embedding::vector
from unnest(%(prefixes)s::text[], %(keys)s::text[], %(read)s::timestamptz[], %(fields)s::text[], %(embeddings)s::text[])
    as v (prefix, key, read, field, embedding)
join store s on s.prefix = v.prefix and s.key = v.key and s.updated_at = v.read
on conflict do nothing;
