-- add: make an assistant with its first version; no row means that its id is taken
with made as (
    insert into interlock.assistants (assistant_id, tenant, graph, config, context, metadata, name, description)
    values (%(assistant_id)s, %(tenant)s, %(graph)s, %(config)s, %(context)s, %(metadata)s, %(name)s, %(description)s)
    on conflict (assistant_id) do nothing
    returning *
),
first as (
    insert into interlock.assistant_versions (assistant_id, version, tenant, graph, config, context, metadata, name, description, created_at)
    select assistant_id, version, tenant, graph, config, context, metadata, name, description, created_at from made
)
select * from made;

-- get: one assistant
select * from interlock.assistants where assistant_id = %(assistant_id)s;

-- hold: one assistant, held until the end of the transaction
select * from interlock.assistants where assistant_id = %(assistant_id)s for update;

-- change: give an assistant its next version
with numbered as (
    select max(version) + 1 as version from interlock.assistant_versions where assistant_id = %(assistant_id)s
),
changed as (
    update interlock.assistants as a
    set graph = %(graph)s, config = %(config)s, context = %(context)s, metadata = %(metadata)s, name = %(name)s,
        description = %(description)s, version = numbered.version, updated_at = clock_timestamp()
    from numbered
    where a.assistant_id = %(assistant_id)s
    returning a.*
),
next as (
    insert into interlock.assistant_versions (assistant_id, version, tenant, graph, config, context, metadata, name, description, created_at)
    select assistant_id, version, tenant, graph, config, context, metadata, name, description, updated_at from changed
)
select * from changed;

-- restore: make an assistant what it was at a version; no row means that there is no such version
update interlock.assistants as a
set graph = v.graph, config = v.config, context = v.context, metadata = v.metadata, name = v.name, description = v.description,
    version = v.version, updated_at = clock_timestamp()
from interlock.assistant_versions as v
where a.assistant_id = %(assistant_id)s and v.assistant_id = a.assistant_id and v.version = %(version)s
returning a.*;

-- remove: forget an assistant with its versions
delete from interlock.assistants where assistant_id = %(assistant_id)s;

-- versions: what an assistant was, the newest first
select * from interlock.assistant_versions
where assistant_id = %(assistant_id)s and metadata @> %(metadata)s
order by version desc limit %(limit)s offset %(offset)s;

-- search: assistants that fit, sorted; those that the server made only for graphs that it has
select a.*
from interlock.assistants as a, lateral (
    select case %(sort_by)s::text
        when 'assistant_id' then assistant_id::text
        when 'graph_id' then graph
        when 'name' then name
        when 'updated_at' then to_char(updated_at at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US')
        else to_char(created_at at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US')
    end collate "C" as key
) as sorting
where (tenant <> '*' or graph = any(%(graphs)s::text[]))
    and (%(graph)s::text is null or graph = %(graph)s)
    and (%(name)s::text is null or strpos(lower(name), lower(%(name)s)) > 0)
    and metadata @> %(metadata)s
order by
    case when %(ascending)s then key end, case when not %(ascending)s then key end desc, assistant_id
limit %(limit)s offset %(offset)s;

-- count: how many fit
select count(*) as assistants
from interlock.assistants
where (tenant <> '*' or graph = any(%(graphs)s::text[]))
    and (%(graph)s::text is null or graph = %(graph)s)
    and (%(name)s::text is null or strpos(lower(name), lower(%(name)s)) > 0)
    and metadata @> %(metadata)s;
