"""The form in which replies are read and answers are compared."""

import pytest

from transfer_prompting.runtime.tasks.answers.cleaning import LONGEST, folded, plain, shortened, trimmed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  a\tb \u00a0 c\r\n\n\n\n d ", "a b c\n\nd"),
        ("\u200bA\u00adb\ufeff", "Ab"),
        ("\uff21\uff1a \u2460", "A: 1"),
        ("‘a’ “b” – c — d − 1", "'a' \"b\" - c - d - 1"),
        ("__a__ `b` ~~c~~ **d** *e* snake_case", "a b c d e snake_case"),
        ("!!!!!!!!!", "!!!!"),
        ("aaaaaaaa", "aaaaaaaa"),
        ("\\text{a b} \\mathbf{c}", "a b c"),
        ("50\\% of 1{,}000\\,km, \\$5\\!", "50% of 1,000 km, $5"),
        ("3 \\times 4 \\cdot 5, 3*4, 3 * 4", "3 × 4 × 5, 3 × 4, 3 × 4"),
        ("2**3, 10⁻², 5²", "2^3, 10^-2, 5^2"),
        ("½, 2½, -½, 2 ¾", "1/2, 2 1/2, -1/2, 2 3/4"),
        ("\\frac{1}{2}, \\dfrac{-3}{4}, 2\\frac{1}{2}, 2 \\frac12", "1/2, -3/4, 2 1/2, 2 1/2"),
        ("٤٢ ۴۲ ४२ ৪২ ๔๒ ٠٩", "42 42 42 42 42 09"),
        ("١٬٢٣٤٫٥", "1,234.5"),
        ("<think>b?</think> a", "a"),
        ("a <think>b?</think>c", "a c"),
        ("a <think>b?</think>c</think> d", "d"),
        ("a <think>b? <think>c?</think>d", "a d"),
        ("Answer: a\n\nQuestion: b\nAnswer: c", "Answer: a"),
        ("a\n> ## Input 2: b", "a"),
        ("Question: b\nAnswer: c", "Question: b\nAnswer: c"),
        ("", ""),
    ],
)
def test_a_reply_is_read_without_its_typography(text: str, words: str):
    assert plain(text) == words


def test_of_a_long_reply_beginning_and_end_are_read():
    text = "a" * 4_000 + "b" * 4_000
    assert shortened(text) == "a" * 2_999 + "\n" + "b" * 3_000
    assert shortened(text[:LONGEST]) == text[:LONGEST]


@pytest.mark.parametrize("long", ["b" * LONGEST, "b" * (LONGEST - 20), "b…½ " * 1_600, "\ufdfa" * LONGEST])
def test_the_end_of_a_long_reply_is_kept_whatever_grows_when_it_is_cleaned(long: str):
    found = plain(f"Answer: 17\n{long}\nAnswer: 18")
    assert len(found) <= LONGEST
    assert found.startswith("Answer: 17\n")
    assert found.endswith("\nAnswer: 18")


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("'-5.'", "-5"),
        ("(-5)", "-5"),
        ("- a", "a"),
        ("- 5", "5"),
        ("A-.", "A-"),
        ("(A-)", "A-"),
        ("AB-", "AB"),
        ("A.-", "A"),
        ("«B»", "«B»"),
        ('"it\'s B."', "it's B"),
        ("【B】。", "B"),
        ("... ", ""),
    ],
)
def test_an_answer_is_compared_without_what_stands_around_it(text: str, bare: str):
    assert trimmed(text) == bare


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Not_Spam", "not spam"),
        ("x-ray", "X  Ray"),
        ("\uff21\uff22", "ab"),
        ("Straße", "STRASSE"),
        ("- a", "a"),
        ("-", ""),
    ],
)
def test_texts_that_differ_in_case_or_joints_are_equal(one: str, other: str):
    assert folded(one) == folded(other)


def test_signs_that_mean_something_make_a_difference():
    assert [folded(text) for text in ("-1", "A-", "a.b")] == ["-1", "a-", "a.b"]
