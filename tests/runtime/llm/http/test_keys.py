"""A key that an endpoint echoes is in nothing that is kept of its answer, whatever the encoding."""

import json
from base64 import b64encode, urlsafe_b64encode

import msgspec
import pytest

from transfer_prompting.runtime.errors import ServerFault
from transfer_prompting.runtime.llm.http._text import redacted
from transfer_prompting.runtime.llm.http._wire import decode

KEY = "sk-CANARY/7f+Zq9=abcdefgh12345"

ENCODED = {
    "base64": b64encode(KEY.encode()).decode(),
    "base64 after a user": b64encode(f"u:{KEY}".encode()).decode(),
    "base64 after a name": b64encode(f"ab:{KEY}!".encode()).decode(),
    "base64 for addresses": urlsafe_b64encode(f"Bearer {KEY}".encode()).decode(),
    "hexadecimal": KEY.encode().hex(),
    "capital hexadecimal": KEY.encode().hex().upper(),
    "JavaScript": "".join(f"\\x{ord(character):02x}" for character in KEY),
    "JavaScript's braces": "".join(f"\\u{{{ord(character):x}}}" for character in KEY),
    "JSON": "".join(f"\\u{ord(character):04x}" for character in KEY),
    "addresses": "".join(f"%{ord(character):02X}" for character in KEY),
    "HTML": "".join(f"&#x{ord(character):x};" for character in KEY),
}


@pytest.mark.parametrize("form", ENCODED)
def test_a_key_is_in_no_reply_however_it_is_encoded(form: str):
    body = json.dumps({"choices": [{"message": {"content": f"your key {ENCODED[form]} is good"}}]})
    text = decode(body.encode(), key=KEY).text
    assert text == f"your key {redacted(ENCODED[form], KEY)} is good"
    assert ENCODED[form][8:-8] not in text
    assert "[key]" in text


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [{"message": {"content": "yes"}, "finish_reason": KEY}]},
        {"choices": [{"message": {"content": "yes"}}], "id": KEY, "model": f"small {KEY}"},
        {
            "choices": [
                {
                    "message": {"content": "yes"},
                    "logprobs": {"content": [{"token": KEY, "logprob": -0.1, "top_logprobs": []}]},
                }
            ]
        },
        {
            "choices": [
                {
                    "message": {"content": "yes"},
                    "logprobs": {
                        "content": [
                            {
                                "token": "yes",
                                "logprob": -0.1,
                                "top_logprobs": [{"token": ENCODED["base64"], "logprob": -1}],
                            }
                        ]
                    },
                }
            ]
        },
        {
            "choices": [
                {
                    "message": {"content": "yes"},
                    "logprobs": {
                        "content": [
                            {"token": part, "logprob": -0.1, "top_logprobs": []}
                            for part in (KEY[:9], KEY[9:])
                        ]
                    },
                }
            ]
        },
    ],
    ids=["the reason", "names", "a token", "an alternative", "two tokens"],
)
def test_a_key_is_in_no_other_part_of_a_response(answer: dict[str, object]):
    response = decode(json.dumps(answer).encode(), key=KEY)
    kept = msgspec.json.encode(response).decode()
    assert response.text == "yes"
    assert "CANARY" not in kept
    assert ENCODED["base64"] not in kept


def test_no_part_of_a_long_key_is_quoted_where_a_body_is_cut():
    key = "sk-" + "CANARY" * 100
    with pytest.raises(ServerFault) as caught:
        decode((f"{key} " * 20).encode(), key=key)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("key", ["none", "EMPTY", "x"])
def test_a_word_that_a_local_server_takes_for_a_key_stays_in_answers(key: str):
    body = json.dumps({"choices": [{"message": {"content": f"Answer: {key}"}}]}).encode()
    assert decode(body, key=key).text == f"Answer: {key}"
