"""Answer spaces: what they allow, how they are asked for, and laws that hold for any text."""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from transfer_prompting.runtime.tasks.answers import AnswerSpace, answer_space
from transfer_prompting.runtime.tasks.answers.numeric import canonical, number_of
from transfer_prompting.runtime.tasks.answers.strict import strict_lines
from transfer_prompting.runtime.tasks.answers.text import token_f1
from transfer_prompting.runtime.tasks.example import LETTERS, Example, Question
from transfer_prompting.scenarios.errors import InputError

OPTIONS = ("Paris", "Rome", "3", "a piece of string", "巴黎")
QUESTION = Question("1", "Which?", choices=OPTIONS)
EVERY: list[AnswerSpace] = [
    answer_space("multiple_choice"),
    answer_space("classification", ("spam", "not spam", "No. 5"), {"spam": ["junk"]}),
    answer_space("yes_no"),
    answer_space("yes_no_maybe"),
    answer_space("numeric"),
    answer_space("text"),
    answer_space("judged"),
]
KINDS = [space.kind for space in EVERY]

PIECES = st.sampled_from(
    [
        *(
            "Answer:",
            "answer is",
            "Confidence:",
            "90%",
            "not",
            "spam",
            "yes",
            "no",
            "B",
            "(C)",
            "\n",
            ".",
            ",",
            "**",
        ),
        *(
            "<think>",
            "</think>",
            "####",
            "\\boxed{",
            "}",
            "Option",
            "3/4",
            "1,000",
            "答案",
            "是",
            "选",
            "\uff22",
            "=",
        ),
        *(
            "Question:",
            "I cannot answer",
            "Overall",
            "rather than",
            "Paris",
            "_",
            "-5",
            "0.5",
            "\ufeff",
            '"answer":',
        ),
    ]
)
REPLIES = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=25).map(" ".join))


@pytest.mark.parametrize("space", EVERY, ids=KINDS)
@given(reply=REPLIES)
def test_no_reply_makes_the_lenient_parser_fail(space: AnswerSpace, reply: str):
    found = space.lenient(reply, QUESTION)
    if found is not None:
        assert found.answer
        assert found.rule
        allowed = space.allowed(QUESTION)
        assert not allowed or found.answer in allowed
        example = Example("1", "Which?", found.answer, choices=OPTIONS)
        assert 0 <= space.credit(found.answer, example) <= 1


ANSWERS = st.one_of(
    REPLIES,
    st.sampled_from(["A", "e", "F", "Spam", "not spam", "No. 5", "YES", "no", "Maybe", "true"]),
    st.decimals(-(10**9), 10**9, places=3).map(str),
    st.integers().map("{:,}".format),
    st.text(string.ascii_letters + " .,:-'", min_size=1),
)


@pytest.mark.parametrize("space", EVERY, ids=KINDS)
@given(answer=ANSWERS, percent=st.integers(0, 100))
def test_what_is_read_strictly_is_read_the_same_leniently(space: AnswerSpace, answer: str, percent: int):
    reply = f"Answer: {answer}\nConfidence: {percent}%"
    lines = strict_lines(reply, confidence=True)
    strict = lines and space.strict(lines.answer, QUESTION)
    if strict is not None:
        found = space.lenient(reply, QUESTION)
        assert found is not None
        assert found.answer == strict


LABELS = st.lists(
    st.text(alphabet=string.ascii_letters + string.digits + " _-.'()好坏", min_size=1, max_size=12).filter(
        lambda label: label == label.strip()
    ),
    min_size=2,
    max_size=6,
)


@given(labels=LABELS, percent=st.integers(0, 100))
def test_every_label_in_the_strict_format_reads_as_itself(labels: list[str], percent: int):
    try:
        space = answer_space("classification", labels)
    except InputError:
        assume(False)
        raise
    for label in labels:
        reply = f"Answer: {label}\nConfidence: {percent}%"
        lines = strict_lines(reply, confidence=True)
        assert lines is not None
        assert space.strict(lines.answer, QUESTION) == label
        assert lines.confidence == percent / 100
        found = space.lenient(reply, QUESTION)
        assert found is not None
        assert found.answer == label


@given(count=st.integers(2, 26))
def test_every_letter_of_two_to_twenty_six_options_reads_as_itself(count: int):
    question = Question("1", "Which?", choices=tuple(f"option text {i}" for i in range(count)))
    space = answer_space("multiple_choice")
    assert space.allowed(question) == tuple(LETTERS[:count])
    for letter in space.allowed(question):
        assert space.strict(letter, question) == letter
        assert space.strict(letter.lower(), question) == letter
    assert all(space.strict(letter, question) is None for letter in LETTERS[count:])


@given(st.one_of(st.integers(-(10**30), 10**30).map(str), st.decimals(-(10**9), 10**9, places=4).map(str)))
def test_a_number_is_equal_to_its_canonical_form(number: str):
    space = answer_space("numeric")
    written = space.strict(number, QUESTION)
    assert written is not None
    assert space.credit(written, Example("1", "?", number)) == 1
    assert canonical(written) == written


@pytest.mark.parametrize(
    ("answer", "gold", "credit"),
    [
        ("18", "18", 1.0),
        ("18", "18.0", 1.0),
        ("0.75", "3/4", 1.0),
        ("1234", "1,234", 1.0),
        ("0.333333333333", "1/3", 1.0),
        ("50", "50%", 1.0),
        ("0", "0", 1.0),
        ("-18", "18", 0.0),
        ("18.01", "18", 0.0),
        ("0.33", "1/3", 0.0),
    ],
)
def test_numbers_are_compared_by_value(answer: str, gold: str, credit: float):
    assert answer_space("numeric").credit(answer, Example("1", "?", gold)) == credit


def test_what_is_no_number_or_several_has_no_value():
    assert number_of("eighteen") is None
    assert number_of("1 or 2") is None
    assert number_of("9" * 10_000) is None


@pytest.mark.parametrize(
    ("answer", "gold", "credit"),
    [
        ("The Eiffel Tower!", "eiffel tower", 1.0),
        ("Eiffel", "Eiffel Tower", 2 / 3),
        ("埃菲尔铁塔", "铁塔", 4 / 7),
        ("\uff29\uff22\uff2d", "IBM", 1.0),
        ("London", "Paris", 0.0),
        ("!", "!", 1.0),
        ("the", "the", 1.0),
    ],
)
def test_short_texts_get_credit_for_shared_words(answer: str, gold: str, credit: float):
    assert token_f1(answer, gold) == pytest.approx(credit)


def test_a_short_text_may_match_any_accepted_answer():
    example = Example("1", "?", "United States", also=("USA", "America"))
    assert answer_space("text").credit("america", example) == 1


def test_free_text_gets_no_credit_before_a_judge_has_rated_it():
    assert answer_space("judged").credit("All of it.", Example("1", "?", "All of it.")) == 0


def test_synonyms_count_leniently_and_never_strictly():
    space = answer_space("classification", ("spam", "ham"), {"spam": ["junk mail"]})
    assert space.strict("junk mail", QUESTION) is None
    found = space.lenient("Answer: Junk-Mail\nConfidence: 90%", QUESTION)
    assert found is not None
    assert (found.answer, found.rule) == ("spam", "answer line, synonym")


def test_a_synonym_may_be_shared_with_no_other_label_and_repeat_its_own():
    space = answer_space("labels", ("Spam", "ham"), {"Spam": ["spam", "junk"], "ham": ["HAM"]})
    for said, labels in (("junk and ham", "Spam, ham"), ("spam", "Spam")):
        found = space.lenient(said, QUESTION)
        assert (found and found.answer) == labels


def test_own_synonyms_of_yes_and_no_join_the_known_ones():
    space = answer_space("yes_no", (), {"yes": ["plausible"]})
    for text in ("plausible", "true"):
        found = space.lenient(text, QUESTION)
        assert found is not None
        assert found.answer == "yes"


@pytest.mark.parametrize(
    ("kind", "labels", "synonyms", "said"),
    [
        ("choice", (), {}, "use one of"),
        ("classification", ("one",), {}, "at least two"),
        ("classification", ("Spam", "spam"), {}, "cannot be distinguished"),
        ("classification", ("not_spam", "not spam"), {}, "cannot be distinguished"),
        ("classification", ("a", " b"), {}, "space around"),
        ("classification", ("a", "b\nc"), {}, "one line"),
        ("classification", ("a", ""), {}, "one line"),
        ("classification", ("a", "b"), {"c": ["d"]}, "no label"),
        ("classification", ("a", "b"), {"a": ["x"], "b": ["X"]}, "both"),
        ("yes_no", ("true", "false"), {}, "has the labels yes, no"),
        ("numeric", (), {"1": ["one"]}, "no labels"),
        ("extraction", ("a",), {"a": ["one"]}, "answers of kind extraction have no labels"),
        ("yes_no", (), {"oui": ["si"]}, "'oui' is no label; labels are yes, no"),
        ("yes_no", (), {"no": ["correct"]}, "'correct' stands for both 'yes' and 'no'"),
        ("labels", ("one",), {}, "several labels a row needs at least two, there are 1"),
        ("labels", ("a, b", "c"), {}, "'a, b' cannot be one of several labels: a comma separates labels"),
        ("labels", ("a", "None"), {}, "'None' cannot be one of several labels: .* rename it"),
        (
            "choice",
            (),
            {},
            "'choice' is not known; use one of classification, yes_no, yes_no_maybe, mul.*, extr",
        ),
    ],
)
def test_an_answer_space_that_makes_no_sense_is_refused_with_a_reason(
    kind: str, labels: tuple[str, ...], synonyms: dict[str, list[str]], said: str
):
    with pytest.raises(InputError, match=said):
        answer_space(kind, labels, synonyms)


def test_credit_in_part_is_for_answers_that_have_parts():
    example = Example("1", "?", "Ada Lovelace")
    for credit, wanted in ((None, 2 / 3), ("partial", 2 / 3), ("exact", 0)):
        assert answer_space("text", credit=credit).credit("Ada", example) == pytest.approx(wanted)
    assert answer_space("text", credit="exact").credit("ada lovelace!", example) == 1
    for kind in ("numeric", "multiple_choice", "judged", "yes_no"):
        with pytest.raises(InputError, match=f"credit: answers of kind {kind} are right or wrong; remove it"):
            answer_space(kind, credit="exact")


def test_hints_and_options_say_what_may_be_answered():
    choice, labels = EVERY[0], EVERY[1]
    assert choice.hint(QUESTION) == "one letter of: A, B, C, D, E"
    assert choice.options(QUESTION).splitlines()[:2] == ["A. Paris", "B. Rome"]
    assert labels.hint(QUESTION) == "one of: spam, not spam, No. 5"
    assert labels.options(QUESTION) == ""
    assert choice.strict("C", QUESTION) == choice.strict("c", QUESTION) == "C"
    opens = ("numeric", "text", "judged")
    assert [answer_space(kind).hint(QUESTION) for kind in opens] == ["a number", "a few words", "a text"]
    for kind in (*opens, "labels", "extraction"):
        space = answer_space(kind, ("a", "b") if kind in ("labels", "extraction") else ())
        assert (space.kind, space.allowed(QUESTION), space.options(QUESTION)) == (kind, (), "")
    assert answer_space("yes_no_maybe").allowed(QUESTION) == ("yes", "no", "maybe")


@pytest.mark.parametrize(
    "reply", ["answer is " * 20_000, "<think>" * 20_000, "not spam " * 5_000, "_" * 50_000, "1," * 20_000]
)
@pytest.mark.timeout(30)
def test_a_reply_that_repeats_itself_without_end_is_still_read(reply: str):
    for space in EVERY:
        space.lenient(reply, QUESTION)
