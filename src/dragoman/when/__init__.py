"""Times: what a phrase such as "tomorrow at 3" or "每个工作日9:00" means, and when a rule is due next.

`spec` is what a phrase says, before it meets a calendar; `english` and `chinese` find it in a text; `place` puts it on
the calendar of a zone; `rhythm` tells when a cron expression or an interval is due next. Nothing here reads a clock.
"""
