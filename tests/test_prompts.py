"""Templates: every placeholder is filled once, and nothing else."""

import pytest

from transfer_prompting import prompts


def test_a_template_wants_exactly_its_placeholders():
    with pytest.raises(KeyError, match="takes"):
        prompts.render("improve", tasks="x")


def test_an_unknown_template_is_named_with_the_known_ones():
    with pytest.raises(KeyError, match="improve"):
        prompts.template("imprve")


NAMES = ("tasks", "history", "exemplars", "failures", "notes", "focus", "request")


def test_a_value_that_looks_like_a_placeholder_stays_as_it_is():
    text = prompts.render("improve", **{**dict.fromkeys(NAMES, "x"), "history": "{{tasks}}"})
    assert "{{tasks}}" in text


def test_a_paragraph_of_one_empty_value_leaves_no_gap_and_no_heading():
    full = prompts.render("improve", **dict.fromkeys(NAMES, "x"))
    text = prompts.render("improve", **{**dict.fromkeys(NAMES, "x"), "failures": "", "notes": ""})
    assert "What went wrong" in full
    assert "What went wrong" not in text
    assert "What was learned" not in text
    assert "\n\n\n" not in text
