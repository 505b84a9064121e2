-- thread: what clients say of a thread
select coalesce(c.metadata, '{}') as metadata
from interlock.threads t left join interlock.thread_cards c using (thread_id) where t.thread_id = %(id)s;

-- assistant: what clients say of an assistant
select metadata from interlock.assistants where assistant_id::text = %(id)s;

-- cron: what clients say of a cron
select metadata from interlock.cron_cards where cron = %(id)s;
