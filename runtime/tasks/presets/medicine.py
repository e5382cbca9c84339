"""Medicine: MedQA, MedMCQA, PubMedQA."""

from ..data import Values
from ..mapping import Raw, at, required, text
from .preset import Layout, Preset
from .readers import options, plain

_OPTIONS = ("opa", "opb", "opc", "opd")
_LEAKS = ("exp",)

MEDQA = Preset(
    name="medqa",
    title="MedQA (USMLE)",
    kind="multiple_choice",
    domain="medicine",
    source="Jin et al. 2020, jind11/MedQA",
    licence="MIT",
    description="Questions of the United States Medical Licensing Examination: a patient vignette and four "
    "or five options.",
    prompt="Answer the following medical exam question by choosing the correct option.",
    layouts=(
        Layout(
            "original", ("question", "options", "answer_idx"), options("question", "options", "answer_idx")
        ),
    ),
)


def _medmcqa(name: str, title: str, source: str, first: int, note: str) -> Preset:
    return Preset(
        name=name,
        title=title,
        kind="multiple_choice",
        domain="medicine",
        source=source,
        licence="MIT",
        description="Questions of Indian medical entrance examinations with four options.",
        prompt="Answer the following medical exam question by choosing the correct option.",
        layouts=(
            Layout(
                "one field per option",
                ("question", *_OPTIONS, "cop"),
                options("question", _OPTIONS, "cop", first=first, id="id"),
                leaks=_LEAKS,
            ),
        ),
        note=note,
    )


MEDMCQA = _medmcqa(
    "medmcqa",
    "MedMCQA (original files)",
    "Pal et al. 2022, medmcqa/medmcqa",
    1,
    "`cop` counts from 1 as in the original files; for the hub copy use medmcqa_hub. Rows of choice_type "
    "multi also have one right option. The explanation `exp` is not shown",
)
MEDMCQA_HUB = _medmcqa(
    "medmcqa_hub",
    "MedMCQA (hub copy)",
    "Pal et al. 2022, hub openlifescienceai/medmcqa",
    0,
    "`cop` counts from 0 as in the hub copy, whose test split has no answers; for the original "
    "files use medmcqa",
)


def _pubmedqa(values: Values) -> Raw:
    """Only the abstract without its conclusion; that and the annotators' reasoning tell the answer."""
    parts = at(values, "CONTEXTS")
    return Raw(
        question=required(at(values, "QUESTION"), "QUESTION"),
        answer=at(values, "final_decision"),
        context=required(parts, "CONTEXTS"),
        id=text(values.get("PMID") or values.get("_key"), "PMID"),
    )


PUBMEDQA = Preset(
    name="pubmedqa",
    title="PubMedQA (labelled)",
    kind="yes_no_maybe",
    domain="medicine",
    source="Jin et al. 2019, pubmedqa/pubmedqa; hub qiaojin/PubMedQA, config pqa_labeled",
    licence="MIT",
    description="Biomedical research questions, each with the abstract of an article without its conclusion; "
    "the answer is yes, no or maybe.",
    prompt="Answer the question from the abstract with yes, no or maybe.",
    layouts=(
        Layout(
            "original",
            ("QUESTION", "CONTEXTS", "final_decision"),
            _pubmedqa,
            leaks=("LONG_ANSWER",),
        ),
        Layout(
            "hub",
            ("question", "context.contexts", "final_decision"),
            plain("question", "final_decision", context="context.contexts", id="pubid"),
            leaks=("long_answer",),
        ),
    ),
    note="LONG_ANSWER, the annotators' reasoning_* and MESHES are not shown",
)

PRESETS = (MEDQA, MEDMCQA, MEDMCQA_HUB, PUBMEDQA)
