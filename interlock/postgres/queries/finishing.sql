-- finish: end runs that have succeeded and ask nobody, and charge those with what they took last; those that have ended
select interlock.finish_charged(
    %(end_run)s, %(end_attempt)s,
    %(charge_run)s, %(charge_kind)s, %(charge_name)s, %(charge_steps)s, %(charge_seconds)s, true
) as ended;
