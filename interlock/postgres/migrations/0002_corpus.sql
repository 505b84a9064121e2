-- Documents once, however many collections hold them; passages cut from them, with their lexemes.

-- Every sign parts words, so that `os.path` is found by `path`, as the corpus in memory does it.
create function interlock.lexemes(words text) returns tsvector
language sql immutable strict parallel safe
return to_tsvector('pg_catalog.english', translate(words, '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', repeat(' ', 32)));

create table interlock.documents (
    document_id text primary key,
    source text not null,
    title text not null,
    media text not null,
    text text not null,
    page_starts integer[] not null default '{}',
    passages integer not null,
    read_at timestamptz not null default now()
);

create table interlock.passages (
    passage_id bigint generated always as identity primary key,
    document_id text not null references interlock.documents on delete cascade,
    starts integer not null,
    ends integer not null,
    location_kind text not null check (location_kind in ('line', 'page')),
    location_first integer not null,
    location_last integer not null,
    title text not null,
    heading text not null,
    text text not null,
    lexemes tsvector not null generated always as (
        setweight(interlock.lexemes(heading), 'A') || setweight(interlock.lexemes(title), 'B') || interlock.lexemes(text)
    ) stored
) with (toast_tuple_target = 8160);  -- a ranking reads every lexeme column: keep it in the row
create index passages_document on interlock.passages (document_id);
create index passages_lexemes on interlock.passages using gin (lexemes);

-- What passages mean, made when a search first looks at them; single precision, little end first.
create table interlock.passage_vectors (
    passage_id bigint not null references interlock.passages on delete cascade,
    model text not null,
    vector bytea not null,
    primary key (passage_id, model)
);

-- A file that has not changed since is known by its stamp and is not read again.
create table interlock.files (
    path text not null,
    source text not null,
    size bigint not null,
    mtime_ns bigint not null,
    document_id text not null references interlock.documents on delete cascade,
    primary key (path, source)
);
create index files_document on interlock.files (document_id);

create table interlock.collections (
    collection_id text primary key,
    sources text[] not null,
    passages integer not null default 0,
    ingested_at timestamptz not null default now()
);

-- A document that left a collection stays readable through it: what was cited can still be checked.
create table interlock.collection_documents (
    collection_id text not null references interlock.collections on delete cascade,
    document_id text not null references interlock.documents on delete cascade,
    current boolean not null,
    primary key (collection_id, document_id)
);
create index collection_documents_document on interlock.collection_documents (document_id);

-- In how many passages of a collection a lexeme stands: what makes a word rare.
create table interlock.collection_lexemes (
    collection_id text not null references interlock.collections on delete cascade,
    lexeme text not null,
    passages integer not null,
    primary key (collection_id, lexeme)
);
