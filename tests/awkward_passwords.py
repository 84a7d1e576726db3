"""Passwords with every character that URIs, shells and YAML take for their own."""

import html
import json
from urllib.parse import quote, quote_plus

AWKWARD = (
    "pass word",
    "single'quote",
    'double"quote',
    "at@sign@twice",
    "colon:colon",
    "sl/ash/ed",
    "que?ry=this",
    "ha#sh #mark",
    "per%cent%41 of",
    "amp&er&sand",
    "semi;colon",
    "back\\slash\\n",
    "ünïcødé密码",
    "{brace}[bracket]",
    "12/34?56@78",
    "all of 'em\"@:/?#%&;é\\$`!*~|<>",
)


def shows(text: str, password: str) -> bool:
    """Whether a text has the password in any spelling, or half of it."""
    spelled = {
        password,
        quote(password),
        quote(password, safe=""),
        quote_plus(password),
        repr(password)[1:-1],
        json.dumps(password)[1:-1],
        json.dumps(password, ensure_ascii=False)[1:-1],
        html.escape(password),
        password.replace("'", "''"),
    }
    halves = {one[: len(one) // 2 + 1] for one in spelled} | {one[-5:] for one in spelled}
    return any(part in text for part in spelled | halves)
