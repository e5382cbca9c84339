"""General question answering: science, common sense, reading and school subjects."""

from ..data import Values
from ..mapping import Raw, at, required
from .preset import Layout, Preset
from .readers import adapters_boolean, adapters_options, options

_ADAPTERS = Layout("LLM-Adapters", ("instruction", "output", "answer"), adapters_options, leaks=("output",))
_STEM = Layout(
    "original",
    ("question.stem", "question.choices", "answerKey"),
    options("question.stem", "question.choices", "answerKey", id="id"),
    leaks=("answerKey",),
)
_HUB = Layout(
    "hub", ("question", "choices.text", "answerKey"), options("question", "choices", "answerKey", id="id")
)


def _boolq_question(values: Values) -> Raw:
    question = required(at(values, "question"), "question")
    question = question if question.endswith("?") else f"{question}?"
    answer = at(values, "label" if "label" in values else "answer")
    return Raw(question, answer, required(at(values, "passage"), "passage"))


OPENBOOKQA = Preset(
    name="openbookqa",
    title="OpenBookQA",
    kind="multiple_choice",
    domain="general",
    source="Mihaylov et al. 2018, allenai/openbookqa",
    licence="Apache-2.0",
    description="Elementary science questions with four options; answering takes a fact of elementary "
    "science and common knowledge.",
    prompt="Answer the following science question by choosing the correct option.",
    layouts=(
        _ADAPTERS,
        _STEM,
        Layout(
            "hub",
            ("question_stem", "choices.text", "answerKey"),
            options("question_stem", "choices", "answerKey", id="id"),
        ),
    ),
    note="the hub's `additional` configuration holds the needed fact (fact1); it is not shown",
)


def _arc(name: str, title: str, level: str) -> Preset:
    return Preset(
        name=name,
        title=title,
        kind="multiple_choice",
        domain="general",
        source="Clark et al. 2018, allenai/ai2_arc",
        licence="CC BY-SA 4.0",
        description=f"Grade-school science exam questions ({level} set) with three to five options.",
        prompt="Answer the following grade-school science question by choosing the correct option.",
        layouts=(_ADAPTERS, _STEM, _HUB),
        note="a few rows have three or five options",
    )


ARC_EASY = _arc("arc_easy", "ARC-Easy", "easy")
ARC_CHALLENGE = _arc("arc_challenge", "ARC-Challenge", "challenge")

COMMONSENSEQA = Preset(
    name="commonsenseqa",
    title="CommonsenseQA",
    kind="multiple_choice",
    domain="general",
    source="Talmor et al. 2019, tau/commonsense_qa",
    licence="MIT",
    description="Everyday questions with five options that take common sense about how concepts relate.",
    prompt="Answer the following common-sense question by choosing the best option.",
    layouts=(_STEM, _HUB),
    note="the published test split has no answers",
)

BOOLQ = Preset(
    name="boolq",
    title="BoolQ",
    kind="yes_no",
    domain="general",
    source="Clark et al. 2019, google/boolq",
    licence="CC BY-SA 3.0",
    description="Naturally asked yes/no questions, some with a Wikipedia passage that answers them.",
    prompt="Answer the following question with yes or no.",
    layouts=(
        Layout("LLM-Adapters", ("instruction", "output", "answer"), adapters_boolean, leaks=("output",)),
        Layout("hub or original", ("question", "passage", "answer"), _boolq_question),
        Layout("SuperGLUE", ("question", "passage", "label"), _boolq_question),
    ),
    note="LLM-Adapters leaves the passage out",
)

PIQA = Preset(
    name="piqa",
    title="PIQA",
    kind="multiple_choice",
    domain="general",
    source="Bisk et al. 2020, ybisk/piqa",
    licence="AFL-3.0",
    description="Everyday physical tasks: which of two ways reaches the goal.",
    prompt="Choose the solution that reaches the following goal.",
    layouts=(
        _ADAPTERS,
        Layout("hub", ("goal", "sol1", "sol2", "label"), options("goal", ("sol1", "sol2"), "label", first=0)),
    ),
    note="the original files keep labels in a second file; use the hub's",
)

COSMOSQA = Preset(
    name="cosmosqa",
    title="CosmosQA",
    kind="multiple_choice",
    domain="general",
    source="Huang et al. 2019, allenai/cosmos_qa",
    licence="CC BY 4.0",
    description="Questions about causes, effects and motives behind short personal stories; four options.",
    prompt="Read the story and answer the question about it by choosing the best option.",
    layouts=(
        Layout(
            "hub or original",
            ("context", "question", "answer0", "answer1", "answer2", "answer3", "label"),
            options(
                "question",
                ("answer0", "answer1", "answer2", "answer3"),
                "label",
                first=0,
                context="context",
                id="id",
            ),
        ),
    ),
    note="the published test split has no answers",
)

MMLU = Preset(
    name="mmlu",
    title="MMLU",
    kind="multiple_choice",
    domain="general",
    source="Hendrycks et al. 2021, cais/mmlu",
    licence="MIT",
    description="Exam questions of one of 57 school, university and professional subjects; four options.",
    prompt="Answer the following exam question by choosing the correct option.",
    layouts=(
        Layout("original", ("0", "1", "2", "3", "4", "5"), options("0", ("1", "2", "3", "4"), "5")),
        Layout("hub", ("question", "choices", "answer"), options("question", "choices", "answer", first=0)),
    ),
    note="one subject a task: name its file or the hub's config; the original CSV files have no header",
)

PRESETS = (OPENBOOKQA, ARC_EASY, ARC_CHALLENGE, COMMONSENSEQA, BOOLQ, PIQA, COSMOSQA, MMLU)
