"""Tokens that somebody would choose to break a page, a terminal or a chart."""

from __future__ import annotations

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script>",
    "</style><script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "![](http://x)",
    "user\u202egnp.exe",
    "\x1b[31mred\x1b]0;title\x07",
    "\ud800",
    "",
    " ",
    "\n",
    "\t\r",
    "\u0301",
    "\u200b\u3164",
    "\u2028",
    "']; alert(1); ['",
    "{{7*7}}",
    "${alert(1)}",
    "a" * 300,
]

# What a table of pandas can hold: its strings are Arrow's, which refuse half of a surrogate pair.
STORABLE = [token for token in HOSTILE if token != "\ud800"]
