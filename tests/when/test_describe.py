import pytest

from dragoman.when.describe import describe

RULES = [
    ("0 9 * * 1-5", "every working day at 09:00", "每个工作日 09:00"),
    ("0 9 * * *", "every day at 09:00", "每天 09:00"),
    ("0 9,17 * * *", "every day at 09:00 and 17:00", "每天 09:00、17:00"),
    ("30 17 * * 5", "every Friday at 17:30", "每周五 17:30"),
    ("0 18 * * 1,4", "every Monday and Thursday at 18:00", "每周一、四 18:00"),
    ("0 9 * * 6,0", "every Saturday and Sunday at 09:00", "每周六、日 09:00"),
    ("0 9 1 * *", "every month on the 1st at 09:00", "每月1日 09:00"),
    ("0 9 2,23,L * *", "every month on the 2nd, the 23rd and the last day at 09:00", "每月2日、23日、最后一天 09:00"),
    ("0 17 L * *", "every month on the last day at 17:00", "每月最后一天 17:00"),
    ("0 9 5 5 *", "every year on 5 May at 09:00", "每年5月5日 09:00"),
    ("0 9 1 1,4,7,10 *", "every year on 1 January, 1 April, 1 July and 1 October at 09:00", None),
    ("0 9 * * 1#1", "on the first Monday of every month at 09:00", "每月第一个星期一 09:00"),
    ("0 9 * * 5L", "on the last Friday of every month at 09:00", "每月最后一个星期五 09:00"),
    ("90m", "every 90 minutes", "每 90 分钟"),
    ("1h", "every hour", "每小时"),
    ("2w", "every 2 weeks", "每 2 周"),
    ("1d", "every day", "每天"),
    ("*/5 * * * *", "*/5 * * * *", "*/5 * * * *"),
    ("0 9 1 * 1", "0 9 1 * 1", "0 9 1 * 1"),
    ("0 9 * 2 1", "0 9 * 2 1", "0 9 * 2 1"),
    ("0 9 1-7 * *", "0 9 1-7 * *", "0 9 1-7 * *"),
]


@pytest.mark.parametrize(("every", "english", "chinese"), RULES)
def test_a_rule_is_said_in_plain_words(every: str, english: str, chinese: str | None) -> None:
    assert describe(every, "en") == english
    assert chinese is None or describe(every, "zh") == chinese
