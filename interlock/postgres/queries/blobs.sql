-- begin_upload: take a number for the pieces of a blob whose digest is known at its end only
insert into interlock.blob_uploads default values returning upload;

-- add_piece: store a piece; no row means that the upload was given up as abandoned
with alive as (
    update interlock.blob_uploads set touched_at = now() where upload = %(upload)s returning upload
)
insert into interlock.blob_pieces (upload, number, cipher, body)
select upload, %(number)s, %(cipher)s, %(body)s from alive;

-- end_upload: the pieces are whole; no row means that the upload was given up as abandoned
delete from interlock.blob_uploads where upload = %(upload)s returning upload;

-- add_blob: give the pieces their name, or find that the same bytes are stored already; the blob is new either way
insert into interlock.blobs (digest, size, upload) values (%(digest)s, %(size)s, %(upload)s)
on conflict (digest) do update set touched_at = now()
returning upload;

-- drop_pieces: take away the pieces of uploads
delete from interlock.blob_pieces where upload = any(%(uploads)s);

-- drop_upload: give up an upload
delete from interlock.blob_uploads where upload = %(upload)s;

-- blob: a blob by its digest
select digest, size, upload from interlock.blobs where digest = %(digest)s;

-- piece: a piece of a blob
select cipher, body from interlock.blob_pieces where upload = %(upload)s and number = %(number)s;

-- note_names: note that a thread names some blobs, of those that exist
insert into interlock.blob_names (digest, thread_id)
select digest, %(thread_id)s from (
    select digest from interlock.blobs where digest = any(%(digests)s) order by digest for key share
) as there
on conflict (digest, thread_id) do update set doubtful = false, noted_at = clock_timestamp();

-- inherit_names: a fork's thread may name what its parent named: which of it, a collection finds out
insert into interlock.blob_names (digest, thread_id, doubtful)
select digest, %(to_thread_id)s, true from (
    select b.digest from interlock.blob_names n join interlock.blobs b using (digest)
    where n.thread_id = %(thread_id)s order by b.digest for key share of b
) as there
on conflict do nothing;

-- doubt_names: a thread has lost some of what it had
update interlock.blob_names set doubtful = true where thread_id = %(thread_id)s and not doubtful;

-- doubtful: threads that may not name any more what they named: something of them is gone, or they are
select n.thread_id, array_agg(n.digest) as digests, max(n.noted_at) as noted_at
from interlock.blob_names n
where n.thread_id > %(after)s and (
    n.doubtful or not exists (select from checkpoints c where c.thread_id = n.thread_id)
)
group by n.thread_id order by n.thread_id limit %(limit)s;

-- named_in_rows: what stands of a thread beside its checkpoints and names any blob, as text
select arguments::text || coalesce(result::text, '') || error || verdict::text as text from interlock.effects
where thread_id = %(thread_id)s
union all
select arguments::text || reason from interlock.refusals where thread_id = %(thread_id)s
union all
select payload::text || coalesce(answer::text, '') || coalesce(proposed::text, '') || votes::text || terms::text
from interlock.questions where thread_id = %(thread_id)s
union all
select e.detail::text from interlock.question_events e join interlock.questions q using (question_id) where q.thread_id = %(thread_id)s
union all
select asked::text from interlock.recordings where thread_id = %(thread_id)s
union all
select context::text || coalesce(answers::text, '') || error from interlock.runs where thread_id = %(thread_id)s
union all
select title || context::text from interlock.threads where thread_id = %(thread_id)s;

-- packed_in_rows: what stands of a thread beside its checkpoints, as the serializer packed it
select answer_type as type, answer as body from interlock.recordings where thread_id = %(thread_id)s
union all
select input_type, input from interlock.runs where thread_id = %(thread_id)s and input is not null;

-- unnamed: a thread does not name some blobs any more, unless that was noted again meanwhile
delete from interlock.blob_names
where thread_id = %(thread_id)s and digest = any(%(digests)s) and noted_at <= %(noted_at)s
    and noted_at < now() - %(grace)s::interval;

-- still_named: a thread names what is left of it, unless it lost more meanwhile
update interlock.blob_names set doubtful = false where thread_id = %(thread_id)s and digest = any(%(digests)s) and noted_at <= %(noted_at)s;

-- collectable_blobs: hold blobs that no thread names and nobody stored lately; other collectors' ones are left to them
select b.digest from interlock.blobs b
where b.touched_at < now() - %(grace)s::interval
    and not exists (select from interlock.blob_names n where n.digest = b.digest)
order by b.digest limit %(limit)s for update skip locked;

-- collect_blobs: take away blobs that are held, but those that were named just before that
delete from interlock.blobs b
where b.digest = any(%(digests)s) and not exists (select from interlock.blob_names n where n.digest = b.digest)
returning b.size, b.upload;

-- collectable: what a collection would take away now
select count(*) as blobs, coalesce(sum(b.size), 0)::bigint as bytes from interlock.blobs b
where b.touched_at < now() - %(grace)s::interval
    and not exists (select from interlock.blob_names n where n.digest = b.digest);

-- abandoned: give up uploads that nobody goes on with
delete from interlock.blob_uploads where upload in (
    select upload from interlock.blob_uploads where touched_at < now() - %(grace)s::interval
    order by upload limit %(limit)s for update skip locked
) returning upload;

-- drop_unnamed_pieces: take away the pieces of an upload that did not become a blob
delete from interlock.blob_pieces
where upload = %(upload)s and not exists (select from interlock.blobs b where b.upload = %(upload)s);

-- has_checkpoints: whether a thread has any
select checkpoint_id from checkpoints where thread_id = %(thread_id)s limit 1;
