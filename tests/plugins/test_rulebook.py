"""Rule books: which rule is found, and what is refused with which words."""

import time
from pathlib import Path

import pytest

from dragoman.errors import PluginError
from dragoman.plugins import phrases, rulebook

HANGS = "^(a|a)*$"


def book_of(*rules: object) -> rulebook.Book:
    return rulebook.compiled(rules)


def found(book: rulebook.Book, said: str) -> str | None:
    rule = book.find(said)
    return rule.answer.of(said) if rule else None


@pytest.mark.parametrize(
    "said",
    ["opening hours", "Opening Hours?!", "  opening   hours. ", "OPENING HOURS", "\uff4f\uff50ening hours\uff1f"],
)
def test_case_width_space_and_punctuation_make_no_difference(said: str) -> None:
    book = book_of({"match": "Opening hours", "answer": "9 to 5"})
    assert found(book, said) == "9 to 5"


@pytest.mark.parametrize("said", ["怎么连接slack", "怎么连接 Slack\uff1f", "怎么连接 slack。", "怎么 连接\uff33lack"])
def test_a_space_beside_a_chinese_character_makes_no_difference(said: str) -> None:
    book = book_of({"match": "怎么连接 Slack", "answer": "yes"})
    assert found(book, said) == "yes"


def test_only_the_whole_message_is_an_exact_phrase() -> None:
    assert found(book_of({"match": "help", "answer": "yes"}), "help me") is None


def test_an_exact_phrase_comes_before_a_contained_one_and_that_before_a_pattern() -> None:
    book = book_of(
        {"regex": "refund", "answer": "pattern"},
        {"contains": "my refund", "answer": "contained"},
        {"match": "my refund", "answer": "exact"},
    )
    assert [found(book, said) for said in ("my refund", "where is my refund", "refund!")] == [
        "exact",
        "contained",
        "pattern",
    ]


def test_of_two_rules_with_the_same_phrase_the_first_counts() -> None:
    book = book_of({"match": "a", "answer": "first"}, {"match": "A!", "answer": "second"})
    assert found(book, "a") == "first"


def test_a_pattern_sees_the_message_as_it_was_written() -> None:
    book = book_of({"regex": r"^order #\d+\.$", "answer": "yes"})
    assert found(book, "Order #12.") == "yes"
    assert found(book, "order 12") is None


def test_an_answer_without_languages_serves_both() -> None:
    book = book_of({"match": ["hi", "你好"], "answer": "Hi 你好", "buttons": ["Help"]})
    for said in ("hi", "你好"):
        rule = book.find(said)
        assert rule is not None
        assert (rule.answer.of(said), rule.buttons.of(said)) == ("Hi 你好", ("Help",))


def test_a_message_with_chinese_characters_is_answered_in_chinese() -> None:
    answer = {"en": "English", "zh": "中文"}
    book = book_of({"contains": "slack", "answer": answer, "buttons": {"en": ["Yes"], "zh": ["是"]}})
    assert found(book, "what about slack") == "English"
    assert found(book, "Slack 呢") == "中文"


def test_a_pattern_that_explodes_is_given_up_and_the_next_one_tried() -> None:
    book = book_of({"regex": HANGS, "answer": "no"}, {"regex": "!$", "answer": "next"})
    assert found(book, "a" * 60 + "!") == "next"


def test_many_patterns_that_explode_cost_a_bounded_time() -> None:
    book = book_of(*({"regex": HANGS, "answer": "no"} for _ in range(100)))
    began = time.process_time()
    assert found(book, "a" * 60 + "!") is None
    assert time.process_time() - began < 100 * rulebook.SEARCH_SECONDS / 2


def test_only_the_beginning_of_a_giant_message_is_looked_at() -> None:
    book = book_of({"contains": "needle", "regex": "needle", "answer": "yes"})
    assert found(book, "x" * rulebook.LONGEST + " needle") is None
    assert found(book, "needle " + "x" * rulebook.LONGEST) == "yes"


def test_thousands_of_rules_are_looked_up_in_a_moment() -> None:
    book = book_of(*({"match": f"question {number}", "answer": str(number)} for number in range(5_000)))
    began = time.process_time()
    for number in range(1_000):
        assert found(book, f"Question {number}?") == str(number)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1", "the file: should be a list"),
        ("- hello", "rule 1: it: should have keys"),
        ("- {match: a, answer: b}\n- {match: b}", "rule 2: answer: is required"),
        ("- {answer: b}", "rule 1: match: is missing"),
        ("- {match: a, answr: b}", "rule 1: answr: is no key (did you mean answer?)"),
        ("- {match: a, xyz: b}", "rule 1: xyz: is no key of"),
        ("- {match: no, answer: b}", "rule 1: match: False should be a text"),
        ("- {match: [a, 7], answer: b}", "rule 1: match: 7 should be a text"),
        ("- {match: '', answer: b}", "rule 1: match: has an empty text"),
        ("- {match: '?!', answer: b}", "rule 1: match: '?!' is only punctuation"),
        ("- {match: a, answer: ''}", "rule 1: answer: is empty"),
        ("- {match: a, answer: [b, c]}", "rule 1: answer: ['b', 'c'] should be a text"),
        ("- {match: a, answer: '{nmae}'}", "rule 1: answer: {nmae} is no placeholder"),
        ("- {match: a, answer: {en: b}}", "rule 1: answer: should be one text, or have exactly en and zh (it has en)"),
        ("- {match: a, answer: {en: b, zh: 3}}", "rule 1: answer.zh: 3 should be a text"),
        ("- {match: a, answer: b, buttons: [1]}", "rule 1: buttons: 1 should be a text"),
        ("- {regex: '(', answer: b}", "rule 1: regex: '(' is no regular expression"),
        ("- {match: a", "is not YAML"),
        ("- {match: 2026-13-45, answer: b}", "is not YAML"),
        ("- !!python/object/apply:os.getcwd []", "is not YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_file_rule_key_and_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PluginError) as refusal:
        rulebook.read(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert reason in str(refusal.value)


def test_a_file_that_is_not_there_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="cannot be read: No such file"):
        rulebook.read(tmp_path / "none.yaml")


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes("- {match: é, answer: b}".encode("latin-1"))
    with pytest.raises(PluginError, match="is not UTF-8"):
        rulebook.read(path)


def test_an_empty_file_has_no_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("# nothing yet\n", encoding="utf-8")
    assert rulebook.read(path).find("help") is None


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  A  b\tC ", "a b c"),
        ("你 好\u3000吗", "你好吗"),
        ("\uff21\uff22\uff11", "ab1"),
        ("...", ""),
        ("Straße", "strasse"),
    ],
)
def test_a_phrase_has_one_normal_form(text: str, normal: str) -> None:
    assert phrases.normalise(text) == normal
