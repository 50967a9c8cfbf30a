"""The English words about time, as data."""

from typing import Final

from dragoman.when.spec import Unit

ONES: Final = {
    word: number
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
TENS: Final = {
    word: 10 * number
    for number, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
ORDINALS: Final = {
    word: number
    for number, word in enumerate(
        [
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
            "eleventh",
            "twelfth",
            "thirteenth",
            "fourteenth",
            "fifteenth",
            "sixteenth",
            "seventeenth",
            "eighteenth",
            "nineteenth",
            "twentieth",
        ],
        1,
    )
} | {"thirtieth": 30}
WORD_ENDINGS: Final = {"st", "nd", "rd", "th"}

UNITS: Final[dict[str, tuple[int, Unit]]] = {
    "second": (1, "second"),
    "seconds": (1, "second"),
    "sec": (1, "second"),
    "secs": (1, "second"),
    "minute": (1, "minute"),
    "minutes": (1, "minute"),
    "min": (1, "minute"),
    "mins": (1, "minute"),
    "hour": (1, "hour"),
    "hours": (1, "hour"),
    "hr": (1, "hour"),
    "hrs": (1, "hour"),
    "day": (1, "day"),
    "days": (1, "day"),
    "week": (1, "week"),
    "weeks": (1, "week"),
    "wk": (1, "week"),
    "wks": (1, "week"),
    "fortnight": (2, "week"),
    "fortnights": (2, "week"),
    "month": (1, "month"),
    "months": (1, "month"),
    "quarter": (3, "month"),
    "quarters": (3, "month"),
    "year": (1, "year"),
    "years": (1, "year"),
    "yr": (1, "year"),
    "yrs": (1, "year"),
    "decade": (10, "year"),
    "decades": (10, "year"),
}
LETTERS: Final[dict[str, tuple[int, Unit]]] = {
    "s": (1, "second"),
    "m": (1, "minute"),
    "h": (1, "hour"),
    "d": (1, "day"),
    "w": (1, "week"),
    "y": (1, "year"),
}
"""Units by one letter, right after digits: `2h30m`."""
SMALLER: Final[dict[Unit, tuple[int, Unit]]] = {
    "year": (12, "month"),
    "week": (7, "day"),
    "day": (24, "hour"),
    "hour": (60, "minute"),
    "minute": (60, "second"),
}
"""How many of the next smaller unit a unit has, where that is always the same."""
SIZES: Final[tuple[Unit, ...]] = ("second", "minute", "hour", "day", "week", "month", "year")

_DAYS: Final = (
    "monday mon",
    "tuesday tue tues",
    "wednesday wed weds",
    "thursday thu thur thurs",
    "friday fri",
    "saturday sat",
    "sunday sun",
)
WEEKDAYS: Final = {word: number for number, words in enumerate(_DAYS) for word in words.split()}
PLURALS: Final = {f"{words.split()[0]}s": number for number, words in enumerate(_DAYS)}
SHY: Final = {"sat", "sun", "wed", "mon"}
"""Short names that are words, too: they count beside another word of time only."""
_MONTHS: Final = (
    "january jan",
    "february feb",
    "march mar",
    "april apr",
    "may",
    "june jun",
    "july jul",
    "august aug",
    "september sep sept",
    "october oct",
    "november nov",
    "december dec",
)
MONTHS: Final = {word: number for number, words in enumerate(_MONTHS, 1) for word in words.split()}

HOLIDAYS: Final = {
    ("christmas", "eve"): (12, 24),
    ("christmas", "day"): (12, 25),
    ("christmas",): (12, 25),
    ("xmas",): (12, 25),
    ("boxing", "day"): (12, 26),
    ("new", "year's", "eve"): (12, 31),
    ("new", "years", "eve"): (12, 31),
    ("new", "years", "day"): (1, 1),
    ("new", "year's", "day"): (1, 1),
    ("new", "year's"): (1, 1),
    ("valentine's", "day"): (2, 14),
    ("valentines", "day"): (2, 14),
    ("halloween",): (10, 31),
}
"""Days that have a fixed date and a name, month and day."""

ZONES: Final = "utc gmt z est edt cst cdt mst mdt pst pdt bst cet cest eet eest msk jst kst sgt hkt aest aedt ist et pt"
"""Zones by their letters: which one a user means by them, nobody knows."""

RELATIVE: Final = {"today": 0, "tomorrow": 1, "yesterday": -1, "overmorrow": 2}
PARTS: Final = {
    "morning": "morning",
    "mornings": "morning",
    "noon": "noon",
    "midday": "noon",
    "lunchtime": "noon",
    "afternoon": "afternoon",
    "afternoons": "afternoon",
    "evening": "evening",
    "evenings": "evening",
    "night": "night",
    "nights": "night",
    "midnight": "midnight",
}

TYPOS: Final = {
    "tommorow": "tomorrow",
    "tommorrow": "tomorrow",
    "tomorow": "tomorrow",
    "tomorro": "tomorrow",
    "tmrw": "tomorrow",
    "tmr": "tomorrow",
    "tmw": "tomorrow",
    "tmrrw": "tomorrow",
    "2moro": "tomorrow",
    "tomoz": "tomorrow",
    "tmrow": "tomorrow",
    "tom": "tom",
    "tonite": "tonight",
    "tonigth": "tonight",
    "2nite": "tonight",
    "todya": "today",
    "toaday": "today",
    "wensday": "wednesday",
    "wendsday": "wednesday",
    "tuseday": "tuesday",
    "teusday": "tuesday",
    "firday": "friday",
    "frday": "friday",
    "monady": "monday",
    "mondya": "monday",
    "sundya": "sunday",
    "febuary": "february",
    "evry": "every",
    "ever": "ever",
    "eveyr": "every",
    "evrey": "every",
    "everyday": "everyday",
    "minuts": "minutes",
    "mintues": "minutes",
    "miniutes": "minutes",
    "minuets": "minutes",
    "minuet": "minute",
    "hrous": "hours",
    "huors": "hours",
    "wek": "week",
    "weks": "weeks",
    "mornign": "morning",
    "morining": "morning",
    "evning": "evening",
    "afernoon": "afternoon",
    "fourty": "forty",
    "fourtnight": "fortnight",
    "oclock": "o'clock",
    "remid": "remind",
    "remin": "remind",
    "reming": "remind",
    "remimd": "remind",
    "rimind": "remind",
    "pls": "please",
    "plz": "please",
    "plese": "please",
    "u": "you",
    "dont": "don't",
    "thx": "thanks",
    "nxt": "next",
}
LONG_WORDS: Final = (
    "tomorrow",
    "wednesday",
    "thursday",
    "saturday",
    "tuesday",
    "february",
    "september",
    "november",
    "december",
    "fortnight",
    "afternoon",
    "midnight",
)

CONNECTIVES: Final = {
    "to",
    "that",
    "about",
    "and",
    "then",
    "for",
    "please",
    "thanks",
    "remind",
    "of",
    "with",
    "i",
    "so",
    "but",
}
"""After these, or at the end, what stands before is closed: "the 15th to", not "the 15th floor"."""
MEASURES: Final = {
    "dollars",
    "dollar",
    "euros",
    "euro",
    "pounds",
    "bucks",
    "percent",
    "km",
    "kilometers",
    "kilometres",
    "miles",
    "mph",
    "kmh",
    "degrees",
    "people",
    "persons",
    "guests",
    "items",
    "pieces",
    "kg",
    "grams",
    "liters",
    "litres",
    "cm",
    "mm",
    "meters",
    "metres",
    "copies",
    "pages",
    "cups",
    "spoons",
    "%",
    "$",
    "€",
    "£",
    "°",
}
"""A number before these is no time."""
DETERMINERS: Final = {"the", "my", "our", "your", "his", "her", "their", "a", "an", "its"}
