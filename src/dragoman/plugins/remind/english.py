"""The English words by which a reminder is asked for, and those by which a sentence is none."""

import re
from typing import Final

_POLITE: Final = (
    r"(?:(?:hey|hi|hello|ok|okay|so|and|also|please|pls|plz|kindly|just|then|now|oh|bot|well|yes|great)\b[\s,!.:;]*)*"
)
_ASK: Final = (
    r"(?:(?:can|could|would|will|won't|wont) (?:you|u)[\s,]*"
    r"|(?:i|i'd|id|we)[\s,]*(?:would|'d)?[\s,]*(?:like|need|want) (?:you to|an?)?[\s,]*"
    r"|you (?:should|must|have to|need to)[\s,]*|don't forget to[\s,]*)?"
)
REQUEST: Final = re.compile(rf"[\s,!.:;\-]*{_POLITE}{_ASK}(?:(?:please|kindly|also|then|just)[\s,]*)*", re.IGNORECASE)
"""What may stand before a call."""

UNTIMED: Final = re.compile(
    r"(?!.*\b(?:you|he|she|they|we|it|nobody|somebody|someone|every ?one|always|never)\b)"
    r"(?:(?:some ?time )?later(?: today)?|in a (?:bit|while|few \w+)|(?:after|before|when|once) [^,.!?]{2,30}"
    r"|(?=.*(?:day|tomorrow|tonight|\d))[\w: ]{2,20} or [\w: ]{2,20})[\s,]*(?:please )?",
    re.IGNORECASE,
)
"""A time before a call that no grammar knows: it is asked for, "after work remind me to shop"."""

CALL: Final = re.compile(
    r"\bremind (?:me|us)\b(?! (?:what|why|how|who|whom|whose|where|which|whether|if|when)\b)"
    r"|(?<!\w)(?:(?:set|create|add|make|schedule|start|give me|new|(?:(?:i|we) )?need|i want)(?: up)?(?: me| us)? +)"
    r"(?:(?:an?|another|the|one|new|quick|daily|weekly|recurring) +){0,2}(?:\d+[ -]?(?:min(?:ute)?s?|hours?|h|m) +)?"
    r"(?:reminder|alarm|timer)s?\b(?! (?:apps?|systems?|clocks?|bots?|functions?|features?|settings?)\b)"
    r"|\b(?:don't|do not|dont|never) let (?:me|us) forget\b",
    re.IGNORECASE,
)
HINT: Final = re.compile(
    r"\bwake (?:me|us)(?: up)?\b|\b(?:ping|nudge|alert|notify|buzz|poke) (?:me|us)\b"
    r"|\b(?:don't|do not|dont) (?:let me )?forget\b|^reminder\b|^(?:alarm|timer)\b",
    re.IGNORECASE,
)
AFTER_CALL: Final = re.compile(
    r"^[\s,:;\-]*(?:(?:again|please)\b[\s,]*)?(?:(?:to|that|about|of|for)\b[\s,]*)?", re.IGNORECASE
)
VAGUE: Final = re.compile(r"^[\s,:;\-]*(?:of|about|that|again)\b", re.IGNORECASE)
"""After a call without a time: "remind me of your name" asks for something else."""
PEOPLE: Final = re.compile(r"(?!)")
TOLD: Final = re.compile(r"(?!)")

AGAIN: Final = re.compile(r"\bremind (?:me|us)\b", re.IGNORECASE)
_COUNT: Final = r"(?:\d{1,3}|an?|half an|one|two|three|five|ten|fifteen|twenty|thirty)"
_SPAN: Final = rf"(?P<span>{_COUNT}\s+(?:minute|min|hour|hr|day|week)s?)"
EARLY: Final = re.compile(
    rf"[\s,]*\b{_SPAN}\s+(?:before(?:hand)?|earlier|in advance|ahead of time)\b(?: (?:of|that|it))?", re.IGNORECASE
)
"""So much before the time that is said."""
QUESTION: Final = re.compile(
    r"\?|^(?:what|when|where|who|whom|whose|why|which|how|is|are|am|was|were|do|does|did|can|could|will|would|should|shall"
    r"|may|might|have|has|had|isn't|aren't|don't|doesn't|didn't|won't|any|what's|when's|who's|where's|how's)\b",
    re.IGNORECASE,
)
EXPLICIT: Final = re.compile(r"\d|\bnoon\b|\bmidnight\b", re.IGNORECASE)

_VERBS_WORDS: Final = """
    apply arrange assign attend bake bathe bike borrow bring brush buy call cancel charge check clean clear
    collect complete contact cook copy deliver do download drink drive drop dry eat email exercise export feed
    fetch file fill finish fix fold get give go grab hand hang install invite iron jog join leave lift lock
    mail measure meditate message mop move mow note pack paint pay phone pick plant polish post practice
    practise pray prepare publish pull push put refill refuel renew renew repair replace reply reset restart
    restock return review ring rotate save scan send shave shop shower shut sign skype sleep sort stretch
    study submit sweep swim sync take talk text thank throw tidy top transfer update upload vacuum visit vote
    wake walk wash watch water wear weed weigh wipe withdraw work zoom
"""
VERBS: Final = frozenset(_VERBS_WORDS.split())
"""What a task begins with, where its time stands at the end; what may well be meant for the bot is not among them."""
_NO_TASK_WORDS: Final = """
    i i'm i'll i've i'd im ill we we're we'll we've you you're you'll he he's she she's it it's its they
    they're this that that's these those there there's here my our your his her their the a an some any all no
    not never nobody nothing none someone somebody something everyone everybody everything anyone people who
    what when where why which how is isn't are aren't am was were be been being has have had having will would
    could should can can't may might must does doesn't did didn't don't works worked suits sounds seems looks
    feels means happens starts started begins began ends ended opens closes leaves left arrives arrived lands
    landed yes yeah yep ok okay fine good great perfect nice cool sure maybe perhaps probably please pls
    thanks thank thx hi hello hey sorry see hope love like and or but so because if then than also too instead
    again already only just until till from to at in on of for with by about sharp exactly born woke got came
    went said told happened happy let's lets let exact latest earliest onwards
"""
NO_TASK: Final = frozenset(_NO_TASK_WORDS.split())
"""What a statement begins with, or an answer: "tomorrow at 3 works for me"."""
_FOR_THE_BOT_WORDS: Final = """
    tell show write play search find translate summarize summarise explain draw generate create set turn switch give
    help convert calculate list open close delete define describe count
"""
FOR_THE_BOT: Final = frozenset(_FOR_THE_BOT_WORDS.split())
"""What begins an order that the bot itself is to do."""
_STATES_WORDS: Final = """
    is are was were will would has have had works suits sounds seems looks isn't aren't me us
"""
STATES: Final = frozenset(_STATES_WORDS.split())
"""Words that make a statement, right after its subject."""
_PAST: Final = re.compile(r"[a-z]{2,}ed")


def is_task(words: str, *, leading: bool) -> bool:
    """Tell whether words are something to do; `leading`: their time stands at the beginning."""
    said = words.casefold().replace("\u2019", "'").split()
    first, second = (*(word.strip('.,;:!"()') for word in said[:2]), "", "")[:2]
    if not first or first in NO_TASK or len(said) > 14:
        return False
    if second in STATES or _PAST.fullmatch(second):
        return False
    return first in VERBS or (leading and first not in FOR_THE_BOT and not _PAST.fullmatch(first))
