-- Who may do what: keys, sessions of the dashboard, tenants with the rows that they see, and the log of who did what.

-- Of a key only the digest is stored: its secret has 256 bits, so nothing slower is needed.
create table interlock.keys (
    key_id text primary key,  -- the visible part
    name text not null,
    hash bytea not null,  -- SHA-256 of the whole key
    roles text[] not null check (cardinality(roles) > 0),
    tenant text,  -- null: everybody's rows
    created_by text not null default '',
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz,
    revoked_by text not null default '',
    replaced_by text not null default ''  -- the key that came in its place when it was rotated
);
create index keys_name on interlock.keys (name);

create table interlock.sessions (
    hash bytea primary key,  -- SHA-256 of what the cookie holds
    key_id text not null references interlock.keys on delete cascade,
    csrf text not null,
    began_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null
);
create index sessions_expired on interlock.sessions (expires_at);

-- A tenant and its role. Roles are the cluster's: their names tell database and schema apart.
create table interlock.tenants (
    tenant text primary key check (tenant <> ''),
    role_name name not null unique,
    added_by text not null default '',
    added_at timestamptz not null default clock_timestamp()
);

-- The tenant whose role asks; null for all others, whom no policy touches.
create function interlock.tenant_of(a_role name) returns text
language sql stable security definer parallel safe set search_path = pg_catalog, pg_temp
return (select t.tenant from interlock.tenants t where t.role_name = a_role);

-- Which rows of a table tenants see; `{mine}` is the tenant who asks. A table that is not named here goes by its column
-- `thread_id` (the thread is the tenant's), else by `tenant` (it is the tenant's own); of one with neither they see no row.
-- What is closed they may not even ask for.
create table interlock.row_rules (
    table_name text primary key,
    rule text not null
);
insert into interlock.row_rules values
    ('threads', 'coalesce(context ->> ''tenant'', '''') = {mine}'),
    ('runs', 'exists (select from interlock.threads t where t.thread_id = runs.thread_id)'),
    ('tenants', 'tenant = {mine}'),
    -- what has nothing of anybody in it
    ('migrations', 'true'),
    ('run_transitions', 'true'),
    ('holding_graphs', 'true'),
    ('row_rules', 'true'),
    ('checkpoint_migrations', 'true'),
    ('checkpoint_sweeps', 'exists (select from interlock.threads t where t.thread_id = checkpoint_sweeps.holder)'),
    ('checkpoint_keys', 'true'),  -- sealed with a key that is not in the database
    -- what is a run's
    ('input_versions', 'exists (select from interlock.runs r where r.run_id = input_versions.run_id)'),
    ('run_options', 'exists (select from interlock.runs r where r.run_id = run_options.run_id)'),
    ('stop_orders', 'exists (select from interlock.runs r where r.run_id = stop_orders.run_id)'),
    -- what is a question's
    ('question_events', 'exists (select from interlock.questions q where q.question_id = question_events.question_id)'),
    ('notifications', 'exists (select from interlock.question_events e where e.id = notifications.event_id)'),
    -- bytes that are shared by their content are seen by whoever has a thread that names them
    ('checkpoint_references', 'kind = 0 and exists (select from interlock.threads t where t.thread_id = checkpoint_references.holder)'),
    ('checkpoint_content', 'exists (select from checkpoint_references r where r.hash = checkpoint_content.hash)'),
    ('blobs', 'exists (select from interlock.blob_names n where n.digest = blobs.digest)'),
    ('blob_pieces', 'exists (select from interlock.blobs b where b.upload = blob_pieces.upload)'),
    -- budgets and switches: one's own, and of switches also those over everybody, which explain why a run stopped
    ('budgets', 'case kind when ''tenant'' then name = {mine}
        when ''thread'' then exists (select from interlock.threads t where t.thread_id = budgets.name)
        when ''run'' then exists (select from interlock.runs r where r.run_id = budgets.name) else false end'),
    ('budget_entries', 'exists (select from unnest(kinds, names) as b (kind, name) where b.kind = ''tenant'' and b.name = {mine})'),
    ('kills', 'case scope when ''tenant'' then name = {mine}
        when ''thread'' then exists (select from interlock.threads t where t.thread_id = kills.name)
        when ''run'' then exists (select from interlock.runs r where r.run_id = kills.name) else true end'),
    ('kill_events', 'case when thread_id = '''' then exists (select from interlock.kills k where k.id = kill_events.kill_id)
        else exists (select from interlock.threads t where t.thread_id = kill_events.thread_id) end'),
    -- times
    ('crons', 'coalesce(context ->> ''tenant'', '''') = {mine}'),
    ('cron_firings', 'exists (select from interlock.crons c where c.name = cron_firings.cron)'),
    ('timers', 'case when cron is null then exists (select from interlock.threads t where t.thread_id = timers.thread_id)
        else exists (select from interlock.crons c where c.name = timers.cron) end'),
    -- of the server; the assistants that it makes itself are everybody's
    ('assistants', 'tenant in ({mine}, ''*'')'),
    ('assistant_versions', 'tenant in ({mine}, ''*'')'),
    ('cron_cards', 'tenant = {mine}'),
    ('store', 'split_part(prefix, ''.'', 1) = interlock.store_label({mine})'),
    ('store_migrations', 'true'),
    -- about secrets and everybody's machines
    ('workers', 'false'),
    ('keys', 'closed'),
    ('sessions', 'closed');
create index threads_tenant on interlock.threads ((coalesce(context ->> 'tenant', '')), updated_at desc);

-- Every table of ours and of LangGraph's checkpointer and store.
create function interlock.guarded_tables() returns table (relation oid, table_name text) language sql stable as $$
    select c.oid, c.relname::text from pg_class c
    where c.relkind in ('r', 'p') and (
        c.relnamespace = (select t.relnamespace from pg_class t where t.oid = 'interlock.threads'::regclass)
        or c.oid in (
            select to_regclass(n) from unnest(array[
                'checkpoints', 'checkpoint_blobs', 'checkpoint_writes', 'checkpoint_migrations', 'checkpoint_content',
                'checkpoint_references', 'checkpoint_sweeps', 'checkpoint_keys', 'store', 'store_vectors',
                'store_migrations', 'vector_migrations'
            ]) as n
        )
    )
$$;

-- The rule of a table.
create function interlock.rule_of(a_table oid) returns text language sql stable as $$
    select replace(coalesce(
        (select r.rule from interlock.row_rules r where r.table_name = c.relname),
        case
            when exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'thread_id' and not a.attisdropped)
            then format('exists (select from interlock.threads t where t.thread_id = %I.thread_id)', c.relname)
            when exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant' and not a.attisdropped)
            then 'tenant = {mine}'
            else 'false'
        end
    ), '{mine}', '(select interlock.tenant_of(current_user))')
    from pg_class c where c.oid = a_table
$$;

-- Part tenants from each other on one table: the members of a group may read the rows that its rule says, and no more. The
-- restrictive policy is theirs; the other one lets all those pass whom the table's owner has granted something. False where
-- that is so already. A table that was made since has no grant for the group until this was called for it.
create function interlock.part_tenants(a_table oid, a_group name) returns boolean language plpgsql as $$
declare
    rule text := interlock.rule_of(a_table);
    marked text := md5(rule || a_group);
    its_schema name;
    its_name name;
begin
    if exists (
        select from pg_policy p
        where p.polrelid = a_table and p.polname = 'tenants' and obj_description(p.oid, 'pg_policy') = marked
    ) then
        return false;
    end if;
    select n.nspname, c.relname into its_schema, its_name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = a_table;
    execute format('drop policy if exists everybody on %I.%I', its_schema, its_name);
    execute format('drop policy if exists tenants on %I.%I', its_schema, its_name);
    execute format('create policy everybody on %I.%I using (true) with check (true)', its_schema, its_name);
    execute format(
        'create policy tenants on %I.%I as restrictive for all to %I using (%s) with check (false)',
        its_schema, its_name, a_group, case rule when 'closed' then 'false' else rule end
    );
    execute format('comment on policy tenants on %I.%I is %L', its_schema, its_name, marked);
    execute format('alter table %I.%I enable row level security', its_schema, its_name);
    execute format('grant usage on schema %I to %I', its_schema, a_group);
    execute format('revoke all on %I.%I from %I', its_schema, its_name, a_group);
    if rule <> 'closed' then
        execute format('grant select on %I.%I to %I', its_schema, its_name, a_group);
    end if;
    return true;
end
$$;

-- Make a tenant's role within the group, neither of which can log in, and let whoever calls this act as it. What is there
-- already, as when somebody with more rights made it, is taken as it is.
create function interlock.make_tenant_role(a_role name, a_group name) returns void language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('interlock.make_tenant_role', 7919));
    if not exists (select from pg_roles where rolname = a_group) then
        execute format('create role %I nologin', a_group);
    end if;
    if not exists (select from pg_roles where rolname = a_role) then
        execute format('create role %I nologin', a_role);
    end if;
    if not exists (
        select from pg_auth_members m
        where m.roleid = (select oid from pg_roles where rolname = a_group)
            and m.member = (select oid from pg_roles where rolname = a_role)
    ) then
        execute format('grant %I to %I', a_group, a_role);
    end if;
    if not (select rolsuper from pg_roles where rolname = current_user) and not exists (
        select from pg_auth_members m
        where m.roleid = (select oid from pg_roles where rolname = a_role)
            and m.member = (select oid from pg_roles where rolname = current_user)
            and not m.admin_option  -- what its maker is given in Postgres 16 does not let it act as the role
    ) then
        execute format('grant %I to current_user', a_role);
    end if;
end
$$;

create function interlock.drop_tenant_role(a_role name) returns void language plpgsql as $$
begin
    if exists (select from pg_roles where rolname = a_role) then
        execute format('drop role %I', a_role);
    end if;
end
$$;

-- A run on a thread of another tenant is refused, whatever the code above forgets: as if there were no such thread.
create function interlock.refuse_foreign() returns trigger language plpgsql as $$
begin
    if exists (
        select from interlock.threads t
        where t.thread_id = new.thread_id and coalesce(t.context ->> 'tenant', '') <> new.context ->> 'tenant'
    ) then
        raise exception 'There is no thread %.', new.thread_id using errcode = 'IL404';
    end if;
    return new;
end
$$;
create trigger runs_of_their_tenant before insert on interlock.runs
    for each row when (coalesce(new.context ->> 'tenant', '') <> '') execute function interlock.refuse_foreign();

-- Who did what. `entry` is JSON as it was hashed, to the byte; the other columns are read from it and cannot differ.
create table interlock.audit (
    number bigint primary key,
    at timestamptz not null,
    entry text not null,
    hash bytea not null,  -- SHA-256 of the hash before it, the number, the time and the entry
    identity text not null generated always as (coalesce(entry::jsonb ->> 'identity', '')) stored,
    kind text not null generated always as (coalesce(entry::jsonb ->> 'kind', '')) stored,
    tenant text not null generated always as (coalesce(entry::jsonb ->> 'tenant', '')) stored,
    act text not null generated always as (coalesce(entry::jsonb ->> 'act', '')) stored,
    subject text not null generated always as (coalesce(entry::jsonb ->> 'subject', '')) stored
);
create index audit_identity on interlock.audit (identity, number);
create index audit_subject on interlock.audit (subject, number);
create index audit_tenant on interlock.audit (tenant, number);
create trigger audit_append_only before update or delete on interlock.audit
    for each row execute function interlock.refuse_change();
create trigger audit_never_emptied before truncate on interlock.audit
    for each statement execute function interlock.refuse_change();

-- Add a row behind the last one; whoever else adds one waits until this is committed.
create function interlock.note_audit(an_entry text) returns bigint language plpgsql as $$
declare
    before record;
    now_at timestamptz;
    this bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended('interlock.audit', 7919));
    select a.number, a.hash into before from interlock.audit a order by a.number desc limit 1;
    this := coalesce(before.number, 0) + 1;
    now_at := clock_timestamp();
    insert into interlock.audit (number, at, entry, hash) values (this, now_at, an_entry, sha256(
        coalesce(before.hash, '\x'::bytea) || convert_to(
            this || '|' || to_char(now_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '|' || an_entry, 'UTF8'
        )
    ));
    return this;
end
$$;
