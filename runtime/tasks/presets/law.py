"""Law in English: tasks of LegalBench."""

from ....scenarios.tasks import Kind
from .preset import Layout, Preset
from .readers import plain


def _legalbench(
    name: str,
    title: str,
    kind: Kind,
    description: str,
    prompt: str,
    labels: tuple[str, ...] = (),
    note: str = "",
) -> Preset:
    return Preset(
        name=name,
        title=f"LegalBench: {title}",
        kind=kind,
        domain="law",
        source="Guha et al. 2023, HazyResearch/legalbench; hub nguha/legalbench",
        licence="CC BY 4.0 (hearsay; other tasks state their own)",
        description=description,
        prompt=prompt,
        layouts=(Layout("original or hub", ("text", "answer"), plain("text", "answer"), leaks=("slice",)),),
        labels=labels,
        note=note,
    )


PRESETS = (
    _legalbench(
        "legalbench_hearsay",
        "hearsay",
        "yes_no",
        "Decide whether a piece of evidence is hearsay: an out-of-court statement introduced to prove the "
        "truth of what it asserts.",
        "Hearsay is an out-of-court statement introduced to prove the truth of the matter asserted. "
        "Is there hearsay?",
        note="`slice` names the kind of case and with it the answer; it is not shown",
    ),
    _legalbench(
        "legalbench_personal_jurisdiction",
        "personal jurisdiction",
        "yes_no",
        "Decide whether a court of the forum has personal jurisdiction over the defendant.",
        "There is personal jurisdiction over a defendant in the state where the defendant is domiciled, or "
        "when the defendant has sufficient contacts with the state and the claim arises from them. "
        "Is there personal jurisdiction?",
    ),
    _legalbench(
        "legalbench_abercrombie",
        "abercrombie",
        "classification",
        "Classify how distinctive a trademark is for a product: generic, descriptive, suggestive, arbitrary "
        "or fanciful.",
        "A mark is generic if it is the common name of the product, descriptive if it describes a purpose or "
        "feature of it, suggestive if it hints at it, arbitrary if it is a real word without connection to "
        "it, and fanciful if it is an invented word. What type of mark is this?",
        ("generic", "descriptive", "suggestive", "arbitrary", "fanciful"),
    ),
    _legalbench(
        "legalbench",
        "any task with the fields text and answer",
        "classification",
        "A legal reasoning task of LegalBench: a text to be classified.",
        "Classify the following legal text.",
        note="labels are those found in the data unless the task gives `labels`; "
        "set `kind: yes_no` for Yes/No tasks",
    ),
)
