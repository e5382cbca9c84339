"""Presets row by row: every layout that has no slice of real data."""

from collections.abc import Mapping

import pytest

from transfer_prompting.runtime.tasks.collect import read_gold
from transfer_prompting.runtime.tasks.mapping import Raw
from transfer_prompting.runtime.tasks.presets import find_preset

TOLD = "THIS TELLS IT"
"""Stands in the fields of made-up rows that must not be shown."""

HUB_CHOICES = {"text": ["one", "two", "three", "four"], "label": ["A", "B", "C", "D"]}
MADE_UP: list[tuple[str, str, Mapping[str, object], str, tuple[str, ...]]] = [
    (
        "openbookqa",
        "hub",
        {"id": "7-1", "question_stem": "Q", "choices": HUB_CHOICES, "answerKey": "B", "fact1": TOLD},
        "B",
        ("one", "two", "three", "four"),
    ),
    (
        "arc_challenge",
        "hub with numbers",
        {
            "id": "M1",
            "question": "Q",
            "choices": {"text": ["x", "y", "z"], "label": ["1", "2", "3"]},
            "answerKey": "3",
        },
        "C",
        ("x", "y", "z"),
    ),
    (
        "arc_easy",
        "original",
        {
            "id": "M2",
            "question": {"stem": "Q", "choices": [{"text": "x", "label": "A"}, {"text": "y", "label": "B"}]},
            "answerKey": "A",
        },
        "A",
        ("x", "y"),
    ),
    (
        "commonsenseqa",
        "hub",
        {"id": "1", "question": "Q", "choices": HUB_CHOICES, "answerKey": "D"},
        "D",
        ("one", "two", "three", "four"),
    ),
    ("boolq", "hub", {"question": "Q is it so", "passage": "It is.", "answer": True}, "yes", ()),
    ("boolq", "SuperGLUE", {"question": "Q is it so", "passage": "It is.", "idx": 3, "label": 0}, "no", ()),
    ("piqa", "hub", {"goal": "Q", "sol1": "1", "sol2": "2", "label": 1}, "B", ("1", "2")),
    (
        "cosmosqa",
        "hub",
        {
            "id": "3#a",
            "context": "A story.",
            "question": "Q",
            "answer0": "p",
            "answer1": "q",
            "answer2": "r",
            "answer3": "s",
            "label": 2,
        },
        "C",
        ("p", "q", "r", "s"),
    ),
    (
        "cosmosqa",
        "original CSV, where all is text",
        {
            "id": "3#a",
            "context": "A story.",
            "question": "Q",
            "answer0": "0",
            "answer1": "1",
            "answer2": "2",
            "answer3": "3",
            "label": "3",
        },
        "D",
        ("0", "1", "2", "3"),
    ),
    (
        "mmlu",
        "hub",
        {"question": "Q", "subject": "law", "choices": ["4", "3", "2", "1"], "answer": 1},
        "B",
        ("4", "3", "2", "1"),
    ),
    (
        "mmlu",
        "original with letters for options",
        {"0": "Q", "1": "B", "2": "A", "3": "D", "4": "C", "5": "A"},
        "A",
        ("B", "A", "D", "C"),
    ),
    (
        "logiqa",
        "hub",
        {"context": "P", "query": "Q", "options": ["w", "x", "y", "z"], "correct_option": 0},
        "A",
        ("w", "x", "y", "z"),
    ),
    (
        "logiqa",
        "2.0",
        {"id": 5, "answer": 3, "text": "P", "type": {}, "question": "Q", "options": ["w", "x", "y", "z"]},
        "D",
        ("w", "x", "y", "z"),
    ),
    (
        "logiqa",
        "AGIEval, options out of order",
        {
            "passage": "P",
            "question": "Q",
            "options": ["(A)w", "(C)y", "(B)x", "(D)z"],
            "label": "B",
            "other": TOLD,
        },
        "B",
        ("w", "x", "y", "z"),
    ),
    (
        "bbh_date_understanding",
        "bare letter",
        {"input": "Q\nOptions:\n(A) x\n(B) y\n(C) z", "target": "C"},
        "C",
        ("x", "y", "z"),
    ),
    ("bbh_navigate", "original", {"input": "Q\nOptions:\n- Yes\n- No", "target": "Yes"}, "yes", ()),
    ("gsm8k", "original", {"question": "Q", "answer": f"{TOLD} 1 + 1 = 2\n#### 1,002"}, "1002", ()),
    (
        "medqa",
        "four options",
        {
            "question": "Q",
            "answer": "two",
            "options": {"A": "one", "B": "two"},
            "answer_idx": "B",
            "metamap_phrases": [TOLD],
        },
        "B",
        ("one", "two"),
    ),
    (
        "medmcqa",
        "original",
        {"question": "Q", "exp": TOLD, "cop": 1, "opa": "2", "opb": "1", "opc": "3", "opd": "4", "id": "x"},
        "A",
        ("2", "1", "3", "4"),
    ),
    (
        "medmcqa_hub",
        "hub",
        {"question": "Q", "exp": TOLD, "cop": 1, "opa": "2", "opb": "1", "opc": "3", "opd": "4", "id": "x"},
        "B",
        ("2", "1", "3", "4"),
    ),
    (
        "pubmedqa",
        "hub",
        {
            "pubid": 12,
            "question": "Q",
            "context": {
                "contexts": ["One.", "Two."],
                "labels": ["A", "B"],
                "meshes": [TOLD],
                "reasoning_free_pred": [TOLD],
            },
            "long_answer": TOLD,
            "final_decision": "maybe",
        },
        "maybe",
        (),
    ),
    ("legalbench_hearsay", "hub", {"index": "0", "answer": "Yes", "text": "Q", "slice": TOLD}, "yes", ()),
    ("legalbench_abercrombie", "hub", {"index": "0", "answer": "fanciful", "text": "Q"}, "fanciful", ()),
    ("sst2", "hub", {"sentence": "Q", "label": 1, "idx": 0}, "positive", ()),
    ("ag_news", "hub", {"text": "Q", "label": 2}, "Business", ()),
    ("ag_news", "original", {"0": "4", "1": "Q", "2": "More."}, "Tech", ()),
    ("financial_phrasebank", "original", {"line": "Sales @ Q rose .@positive"}, "positive", ()),
    ("financial_phrasebank", "hub", {"sentence": "Q", "label": 0}, "negative", ()),
    ("financial_phrasebank", "headerless", {"0": "neutral", "1": "Q"}, "neutral", ()),
    (
        "fineval",
        "original",
        {
            "id": "0",
            "question": "Q____。",
            "A": "甲",
            "B": "乙",
            "C": "丙",
            "D": "丁",
            "answer": "C",
            "explanation": TOLD,
        },
        "C",
        ("甲", "乙", "丙", "丁"),
    ),
    (
        "lawbench_1_2",
        "original",
        {"instruction": TOLD, "question": "Q哪项正确?A:甲;B:乙;C:丙;D:丁。", "answer": "正确答案：B。"},
        "B",
        ("甲", "乙", "丙", "丁。"),
    ),
    (
        "lawbench_2_8",
        "original",
        {
            "instruction": TOLD,
            "question": "句子：Q。A:甲。B:乙。C:丙。D:丁。E:戊。",
            "answer": "[正确答案]E<eoa>",
        },
        "E",
        ("甲。", "乙。", "丙。", "丁。", "戊。"),
    ),
    (
        "lawbench_2_2",
        "original",
        {"instruction": TOLD, "question": "句子:Q", "answer": "争议焦点类别：诉讼时效。"},
        "诉讼时效",
        (),
    ),
    ("lawbench_2_4", "original", {"instruction": TOLD, "question": "Q", "answer": "公司法"}, "公司法", ()),
    (
        "lawbench_3_3",
        "original",
        {"instruction": TOLD, "question": "事实:Q\r\n", "answer": "罪名:盗窃"},
        "盗窃",
        (),
    ),
    (
        "lawbench_3_4",
        "original",
        {"instruction": TOLD, "question": "事实:Q", "answer": "刑期:12个月"},
        "12",
        (),
    ),
    (
        "lawbench_3_7",
        "original",
        {"instruction": TOLD, "question": "文书:Q", "answer": "上文涉及到的犯罪金额:3895.10元。"},
        "3895.1",
        (),
    ),
]


@pytest.mark.parametrize(("preset", "layout", "row", "gold", "choices"), MADE_UP)
def test_a_row_of_every_other_layout_maps(
    preset: str, layout: str, row: Mapping[str, object], gold: str, choices: tuple[str, ...]
):
    known = find_preset(preset)
    raw = known.read(row)
    assert isinstance(raw, Raw), layout
    assert read_gold(raw, known.kind, known.labels or None) == (gold, ())
    assert raw.choices == choices
    assert "Q" in raw.question
    assert TOLD not in f"{raw.context}{raw.question}{''.join(raw.choices)}"
