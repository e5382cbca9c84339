"""Sentiment and topics: SST-2, AG News, Financial PhraseBank."""

from ..data import Values
from ..mapping import Raw, at, required
from .preset import Layout, Preset
from .readers import line, plain

SST2 = Preset(
    name="sst2",
    title="SST-2",
    kind="classification",
    domain="sentiment",
    source="Socher et al. 2013, GLUE; hub stanfordnlp/sst2",
    licence="not stated",
    description="Sentences of film reviews, lower-cased and tokenised: negative or positive.",
    prompt="Classify the sentiment of the following film review sentence as negative or positive.",
    layouts=(
        Layout("text, tab, label", ("line",), line("\t")),
        Layout("hub or GLUE", ("sentence", "label"), plain("sentence", "label")),
        Layout("text and label", ("text", "label"), plain("text", "label")),
    ),
    labels=("negative", "positive"),
    note="0 is negative, 1 positive; the published test split has no answers",
)

_TOPICS = ("World", "Sports", "Business", "Tech")


def _class_file(values: Values) -> Raw:
    """Class (from 1), title and description, without a header."""
    number = required(at(values, "0"), "class")
    shown = f"{required(at(values, '1'), 'title')}\n{required(at(values, '2'), 'description')}"
    return Raw(shown, str(int(number) - 1) if number.isdecimal() else number)


AG_NEWS = Preset(
    name="ag_news",
    title="AG News",
    kind="classification",
    domain="topics",
    source="Zhang et al. 2015; hub fancyzhx/ag_news",
    licence="not stated (non-commercial use by the collector's terms)",
    description="News headlines with a short description: which of four topics.",
    prompt="Classify the topic of the following news article as World, Sports, Business or Tech.",
    layouts=(
        Layout("text, tab, label", ("line",), line("\t")),
        Layout("hub", ("text", "label"), plain("text", "label")),
        Layout("original", ("0", "1", "2"), _class_file),
    ),
    labels=_TOPICS,
    synonyms={"Tech": ("Sci/Tech", "Technology", "Science"), "Sports": ("Sport",)},
    note="indices count from 0, in the original CSV files from 1",
)

FINANCIAL_PHRASEBANK = Preset(
    name="financial_phrasebank",
    title="Financial PhraseBank",
    kind="classification",
    domain="finance",
    source="Malo et al. 2014; hub takala/financial_phrasebank",
    licence="CC BY-NC-SA 3.0",
    description="Sentences of financial news: is the news negative, neutral or positive for investors.",
    prompt="Classify the sentiment of the following financial news as negative, neutral or positive.",
    layouts=(
        Layout("original", ("line",), line("@")),
        Layout("hub", ("sentence", "label"), plain("sentence", "label")),
        Layout("label and text, no header", ("0", "1"), plain("1", "0")),
    ),
    labels=("negative", "neutral", "positive"),
    note="the original files are Latin-1; the hub's 0, 1, 2 are negative, neutral, positive",
    encoding="latin-1",
)

PRESETS = (SST2, AG_NEWS, FINANCIAL_PHRASEBANK)
