"""Chinese: FinEval (finance) and tasks of LawBench (law)."""

import re

from ....scenarios.tasks import Kind
from ..data import Values
from ..example import LETTERS
from ..mapping import Drop, Raw, Unfit, at, required
from .preset import Layout, Preset, Reader
from .readers import marked, options

FINEVAL = Preset(
    name="fineval",
    title="FinEval",
    kind="multiple_choice",
    domain="finance",
    source="Zhang et al. 2023, SUFE-AIFLM-Lab/FinEval",
    licence="CC BY-NC-SA 4.0 (data)",
    description="Questions of Chinese finance, economics, accounting and certification exams with four "
    "options; questions and options are in Chinese.",
    prompt="以下是中国金融考试的单项选择题，请选出正确答案。",
    layouts=(
        Layout(
            "original or hub",
            ("question", "A", "B", "C", "D", "answer"),
            options("question", ("A", "B", "C", "D"), "answer"),
            leaks=("explanation",),
        ),
    ),
    note="the explanation is not shown; the published test split has no answers",
)

_LEAD = re.compile(r"(?:句子|事实|文书|咨询)[:：]\s*")
_FRAME = re.compile(r"\[[^\]]+\](?P<framed>.*?)(?:<eoa>)?|(?:[^:：]{1,12}[:：])?(?P<plain>.*)", re.DOTALL)


def _answer(values: Values) -> str:
    """The answer without its frame: `正确答案：C。`, `[正确答案]A<eoa>`, `刑期:4个月`."""
    whole = required(at(values, "answer"), "answer").rstrip("。")
    frame = _FRAME.fullmatch(whole)
    found = (frame["framed"] or frame["plain"] or "") if frame else ""
    return required(found, "answer").rstrip("。")


def _question(values: Values) -> str:
    return _LEAD.sub("", required(at(values, "question"), "question"), count=1)


def _lettered(last: str) -> Reader:
    """Options `A:…;B:…` at the end of the question; each marker is taken where it stands last."""
    letters = LETTERS[: LETTERS.index(last) + 1]

    def read(values: Values) -> Raw:
        rest, choices = _question(values), list[str]()
        for letter in reversed(letters):
            rest, found, choice = rest.rpartition(f"{letter}:")
            if not found:
                raise Unfit(f"question has no option {letter!r}")
            choices.insert(0, required(choice.strip().rstrip(";；"), f"option {letter}"))
        answer = marked(_answer(values), letters, "answer")
        return Raw(required(rest, "question"), answer, "", tuple(choices), tuple(letters))

    return read


def _labelled(values: Values) -> Raw:
    return Raw(_question(values), _answer(values))


def _one_charge(values: Values) -> Raw | Drop:
    charges = _answer(values)
    return (
        Drop("more than one charge") if ";" in charges or "；" in charges else Raw(_question(values), charges)
    )


def _number(unit: str) -> Reader:
    def read(values: Values) -> Raw | Drop:
        found = re.fullmatch(rf"(-?\d+(?:\.\d+)?){unit}", _answer(values))
        return Raw(_question(values), found[1]) if found else Drop(f"the answer is no number of {unit}")

    return read


def _lawbench(
    number: str,
    title: str,
    kind: Kind,
    description: str,
    prompt: str,
    read: Reader,
    labels: str = "",
    note: str = "",
) -> Preset:
    return Preset(
        name=f"lawbench_{number.replace('-', '_')}",
        title=f"LawBench {number}: {title}",
        kind=kind,
        domain="law",
        source="Fei et al. 2023, open-compass/LawBench",
        licence="Apache-2.0 (repository); tasks come from older sets",
        description=f"{description} Texts are in Chinese.",
        prompt=prompt,
        layouts=(Layout("original", ("instruction", "question", "answer"), read),),
        labels=tuple(labels.split("、")) if labels else (),
        note=note or "the instruction with its own answer format is replaced",
    )


PRESETS = (
    FINEVAL,
    _lawbench(
        "1-2",
        "knowledge questions",
        "multiple_choice",
        "Questions of the Chinese judicial exam on legal knowledge, with four options.",
        "请运用法律知识，从选项中选出一个正确答案。",
        _lettered("D"),
    ),
    _lawbench(
        "2-2",
        "dispute focus",
        "classification",
        "Classify what the parties of a civil case dispute.",
        "判断句子的争议焦点类别。",
        _labelled,
        "诉讼主体、租金情况、利息、本金争议、责任认定、责任划分、损失认定及处理、原审判决是否适当、合同效力、财产分割、"
        "责任承担、鉴定结论采信问题、诉讼时效、违约、合同解除、肇事逃逸",
    ),
    _lawbench(
        "2-4",
        "topic of a consultation",
        "classification",
        "Classify the field of law that a request for legal advice belongs to.",
        "确定以下法律咨询的类别。",
        _labelled,
        "婚姻家庭、劳动纠纷、交通事故、债权债务、刑事辩护、合同纠纷、房产纠纷、侵权、公司法、医疗纠纷、拆迁安置、行政诉讼、"
        "建设工程、知识产权、综合咨询、人身损害、涉外法律、海事海商、消费权益、抵押担保",
    ),
    _lawbench(
        "2-8",
        "opposed arguments",
        "multiple_choice",
        "Choose which of five statements of the defence disputes a statement of the plaintiff.",
        "从五个辩方观点中选出与诉方观点形成争议的一个。",
        _lettered("E"),
    ),
    _lawbench(
        "3-3",
        "charge",
        "text",
        "Name the charge that fits the facts of a criminal case.",
        "请根据事实给出罪名。",
        _one_charge,
        note="rows with more than one charge are dropped and counted",
    ),
    _lawbench(
        "3-4",
        "prison term without the article's text",
        "numeric",
        "Predict the prison term in months from facts, charge and article number.",
        "根据事实、罪名和法条预测刑期，以月为单位。",
        _number("个月"),
        note="rows whose answer is no number of months (death, life) are dropped and counted",
    ),
    _lawbench(
        "3-6",
        "case analysis",
        "multiple_choice",
        "Questions of the Chinese judicial exam that analyse a case, with four options.",
        "请运用法律知识分析案例，从选项中选出一个正确答案。",
        _lettered("D"),
    ),
    _lawbench(
        "3-7",
        "amount of a crime",
        "numeric",
        "Compute the total amount of money of the crimes in a judgment, in yuan.",
        "计算文书中涉及的犯罪总金额，以元为单位。",
        _number("元"),
    ),
)
