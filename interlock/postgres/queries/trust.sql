-- standing: how far an agent is trusted with an action
select stage, right_count, wrong_count, since from interlock.standings where agent = %(agent)s and action = %(action)s;

-- standings: every pair that was judged
select agent, action, stage, right_count, wrong_count, since from interlock.standings order by agent, action;

-- add_judgement: count a judgement; no row means that there was one about the same before
insert into interlock.judgements (about, agent, action, was_right, reason, stage)
values (%(about)s, %(agent)s, %(action)s, %(was_right)s, %(reason)s, %(stage)s)
on conflict (about) do nothing returning judged_at;

-- judgement: what was judged about an effect or a question
select agent, action, was_right, reason, judged_at from interlock.judgements where about = %(about)s;

-- open_standing: make a standing, or leave the one that exists
insert into interlock.standings (agent, action, stage) values (%(agent)s, %(action)s, %(stage)s)
on conflict (agent, action) do nothing;

-- hold_standing: a standing, which nobody else may move until the end of the transaction
select stage, right_count, wrong_count, since from interlock.standings
where agent = %(agent)s and action = %(action)s for update;

-- move_standing: write what follows from a judgement
update interlock.standings
set stage = %(stage)s, right_count = %(right_count)s, wrong_count = %(wrong_count)s, since = %(since)s
where agent = %(agent)s and action = %(action)s;
