-- known_files: the documents of files that may not have changed
select f.path, f.source, f.size, f.mtime_ns, f.document_id
from interlock.files f
join unnest(%(paths)s::text[], %(sources)s::text[]) as asked (path, source) using (path, source);

-- members: the documents that a collection ever held
select document_id, current from interlock.collection_documents where collection_id = %(collection)s;

-- add_documents: store documents that are not there yet, and return which
insert into interlock.documents (document_id, source, title, media, text, page_starts, passages)
select document_id, source, title, media, text, page_starts::integer[], passages
from unnest(
    %(ids)s::text[], %(sources)s::text[], %(titles)s::text[], %(media)s::text[], %(texts)s::text[],
    %(page_starts)s::text[], %(passages)s::integer[]
) as new (document_id, source, title, media, text, page_starts, passages)
on conflict (document_id) do nothing
returning document_id;

-- add_passages: store passages, row by row
copy interlock.passages
    (document_id, starts, ends, location_kind, location_first, location_last, title, heading, text)
from stdin;

-- stamp_files: note by what files are known again
insert into interlock.files (path, source, size, mtime_ns, document_id)
select * from unnest(
    %(paths)s::text[], %(sources)s::text[], %(sizes)s::bigint[], %(times)s::bigint[], %(ids)s::text[]
)
on conflict (path, source) do update
set size = excluded.size, mtime_ns = excluded.mtime_ns, document_id = excluded.document_id;

-- open_collection: make a collection or lock the one that exists, until the transaction ends
insert into interlock.collections (collection_id, sources)
values (%(collection)s, %(sources)s)
on conflict (collection_id) do update set ingested_at = now();

-- lock_collection: keep others from changing a collection, until the transaction ends
select collection_id from interlock.collections where collection_id = %(collection)s for update;

-- unasked: the search tools of a collection that were not asked this yet
select given.source as tool
from interlock.collections c cross join lateral unnest(c.sources) as given (source)
where c.collection_id = %(collection)s and starts_with(given.source, 'search:') and %(query)s <> ''
    and not exists (
        select from interlock.answers a
        where a.collection_id = c.collection_id and a.tool = given.source and a.query = %(query)s
    )
order by given.source;

-- keep_answer: note what a search tool found, unless somebody else was faster
insert into interlock.answers (collection_id, tool, query, document_ids)
values (%(collection)s, %(tool)s, %(query)s, %(ids)s)
on conflict (collection_id, tool, query) do nothing
returning tool;

-- forget_answers: forget what search tools found long ago
delete from interlock.answers
where collection_id = %(collection)s and answered_at < now() - make_interval(secs => %(seconds)s);

-- answers: the documents that search tools found
select distinct unnest(document_ids) as document_id from interlock.answers
where collection_id = %(collection)s;

-- add_members: let documents belong to a collection, and return those that did not
insert into interlock.collection_documents as held (collection_id, document_id, current)
select %(collection)s, document_id, true from unnest(%(ids)s::text[]) as new (document_id)
on conflict (collection_id, document_id) do update set current = true where not held.current
returning document_id;

-- drop_members: let a collection hold nothing but these documents, and return what it held before
update interlock.collection_documents set current = false
where collection_id = %(collection)s and current and document_id <> all(%(ids)s::text[])
returning document_id;

-- count_lexemes: add the lexemes of some documents to a collection's counts, or with sign -1 take them away
insert into interlock.collection_lexemes as held (collection_id, lexeme, passages)
select %(collection)s, word.lexeme, count(*) * %(sign)s
from interlock.passages p cross join lateral unnest(p.lexemes) as word
where p.document_id = any(%(ids)s::text[])
group by word.lexeme
on conflict (collection_id, lexeme) do update set passages = held.passages + excluded.passages;

-- count_passages: count a collection's passages anew
update interlock.collections c
set passages = (
    select coalesce(sum(d.passages), 0)
    from interlock.collection_documents m join interlock.documents d using (document_id)
    where m.collection_id = c.collection_id and m.current
)
where c.collection_id = %(collection)s
returning c.passages;

-- analyze: let the planner know what a large ingestion brought
analyze interlock.documents, interlock.passages, interlock.collection_documents, interlock.collection_lexemes;

-- weigh: a collection's size and how many of its passages hold each lexeme of a query
select c.passages as total, word.lexeme, coalesce(held.passages, 0) as passages
from interlock.collections c
left join lateral unnest(interlock.lexemes(%(query)s)) as word on true
left join interlock.collection_lexemes held
    on held.collection_id = c.collection_id and held.lexeme = word.lexeme
where c.collection_id = %(collection)s
order by word.positions[1];

-- rank: passages with any of the telling lexemes, ranked by all, and which of them they hold
with hits as (
    select p.passage_id, ts_rank(%(weights)s::real[], p.lexemes, %(lexemes)s::tsquery, 1) as rank
    from interlock.passages p
    join interlock.collection_documents m using (document_id)
    where m.collection_id = %(collection)s and m.current and p.lexemes @@ %(telling)s::tsquery
    order by rank desc, p.passage_id
    limit %(candidates)s
)
select p.passage_id, hits.rank, array(
    select word.lexeme from unnest(p.lexemes) as word where word.lexeme = any(%(words)s::text[])
) as present
from hits join interlock.passages p using (passage_id);

-- passages: passages with what is known about them
select p.passage_id, p.document_id, d.source, p.title, p.heading, p.starts, p.ends,
    p.location_kind, p.location_first, p.location_last, p.text
from interlock.passages p join interlock.documents d using (document_id)
where p.passage_id = any(%(ids)s);

-- vectors: what is known of the meaning of some passages
select passage_id, vector from interlock.passage_vectors
where model = %(model)s and passage_id = any(%(ids)s);

-- keep_vectors: keep what passages mean to a model
insert into interlock.passage_vectors (passage_id, model, vector)
select passage_id, %(model)s, vector
from unnest(%(ids)s::bigint[], %(vectors)s::bytea[]) as new (passage_id, vector)
on conflict (passage_id, model) do nothing;

-- document: one document that belongs or belonged to a collection
select d.document_id, d.source, d.title, d.media, d.text, d.page_starts
from interlock.documents d join interlock.collection_documents m using (document_id)
where m.collection_id = %(collection)s and d.document_id = %(document)s;

-- documents: what a collection holds, by source name
select d.document_id, d.source, d.title, d.media, length(d.text) as characters
from interlock.documents d join interlock.collection_documents m using (document_id)
where m.collection_id = %(collection)s and m.current
order by d.source collate "C";

-- collection: whether there is such a collection
select collection_id from interlock.collections where collection_id = %(collection)s;
