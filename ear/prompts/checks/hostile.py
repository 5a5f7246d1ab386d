"""What passes for a prompt and is none: it speaks to a model, to a shell or to a browser.

A prompt goes into other models' prompts, tables, file listings and pages. Whoever reads it there should find
a description of a picture and nothing else. These patterns do not have to be complete: signs that commands,
markup and placeholders need (``ear.prompts.checks.form.PUNCTUATION`` lists all others) are refused anyway.
"""

import re

from ear.prompts.checks.records import Reason
from ear.prompts.naming import fold


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


_EARLIER = (
    r"(?:above|previous|prior|earlier|preceding|instructions?|prompts?|rules|guidelines|everything|context)"
)
_PROGRAMS = r"(?:rm|sudo|curl|wget|bash|sh|cat|chmod|chown|python3?|perl|powershell|cmd|eval|exec|nc|ssh)"
_SUFFIXES = r"(?:exe|sh|py|bat|ps1|dll|so|js|php|txt|pdf|png|jpe?g|gif|svg|csv|json|ya?ml|xml|html?|zip|gz)"

# In the order of the reasons; matched against the folded text.
PATTERNS: tuple[tuple[Reason, re.Pattern[str]], ...] = (
    (
        Reason.ROLE_MARKER,
        _any(
            r"<\|",
            r"\|>",
            r"\[/?(?:inst|sys|system|user|assistant)\]",
            r"<<\s*/?sys\s*>>",
            r"</?(?:s|system|user|assistant|human|start_of_turn|end_of_turn|begin_of_\w+|end_of_\w+)>",
            r"(?:^|[^\w])(?:system|assistant|user|human|developer|tool|ai)\s*:",
            r"(?:^|\s)#{2,}",
        ),
    ),
    (
        Reason.MARKUP,
        _any(r"[<>]", r"&#?\w+;", r"\{\{|\}\}|\{%|%\}", r"\]\(", r"```", r"\bon\w+\s*=", r"!\["),
    ),
    (
        Reason.COMMAND,
        _any(
            rf"(?:^|[;&|`(]\s*){_PROGRAMS}\s+[-/~.]",
            r"&&|\|\||\$\(|`",
            r"\brm\s+-|\bsudo\b|[;&|]\s*(?:curl|wget|chmod|bash|sh)\b",
            r"\b(?:drop|truncate|alter)\s+table\b",
            r"\b(?:delete|insert|select\s[\w*, ]{1,20})\s(?:from|into)\s\w+\s*(?:;|where\b|values\b)",
            r"\b(?:import|require|eval|exec|system|popen)\s*\(|\b__\w+__\b|\bos\.\w+|\bsubprocess\b",
        ),
    ),
    (
        Reason.ADDRESS,
        _any(
            r"\w+://",
            r"\b(?:javascript|data|mailto|file|vbscript|tel):\S",
            r"\bwww\.",
            r"\b[\w-]+\.(?:com|org|net|io|ai|dev|info|ru|cn|xyz|co|app|gov|edu)\b",
            r"\S@\S+\.\w",
            r"\b\d{1,3}(?:\.\d{1,3}){3}\b",
        ),
    ),
    (
        Reason.FILE_PATH,
        _any(
            r"\\",
            r"(?:^|[\s\"'(])[.~]{0,2}/\S",
            r"\.\./|/\.",
            r"\w+/\w+/",
            r"\b[a-z]:[\\/]",
            rf"\w\.{_SUFFIXES}\b",
        ),
    ),
    (
        Reason.INSTRUCTION,
        _any(
            rf"\b(?:ignor\w*|disregard\w*|forget|overrid\w+|bypass\w*|skip|neglect)\b.{{0,40}}\b{_EARLIER}\b",
            r"\b(?:ignorez|ignoriere|ignora|vergiss|oublie[zs]?|olvida)\b.{0,40}"
            r"\b(?:instruct\w*|instruccion\w*|anweisung\w*|consignes?|anterior\w*|precede\w*|vorherig\w*|alles)",
            r"\b(?:system|hidden|secret|initial|developer)\s+(?:prompt|message|mode|instructions?)\b",
            r"\bnew\s+instructions?\b|\binstead\s+(?:output|print|write|return|respond|reply|answer)\b",
            r"\byou\s+(?:are|must|will|should|shall)\s+(?:now|always|never|not)\b|\bfrom\s+now\s+on\b",
            r"\b(?:act|behave|respond|reply|answer)\s+(?:as|like|with|only)\b.{0,30}\b(?:ai|model|assistant|dan|json)\b",
            r"\bjailbreak\w*|\bdo\s+anything\s+now\b|\bpretend\s+(?:to\s+be|you)\b",
            r"\b(?:reveal|print|output|repeat|show|leak|return)\b.{0,20}\b(?:your|the)\s+(?:prompt|instructions?|key|password|rules)\b",
            r"\bapi\s+keys?\b|\bpasswords?\b|\benvironment\s+variables?\b",
        ),
    ),
    (
        Reason.ANSWER,
        _any(
            r"\bas\s+an?\s+(?:ai|artificial|(?:large\s+)?language|assistant)\b",
            r"\blanguage\s+model\b|\bai\s+(?:assistant|model)\b",
            r"\bi\s?['’]?\s?(?:m|am)\s+(?:sorry|unable|not\s+able|afraid|here\s+to|happy\s+to)\b",
            r"\bi\s+(?:can\s?['’]?\s?t|cannot|can\s+not|won\s?['’]?t|will\s+not|must\s+decline|apologi[sz]e|do\s+not|don['’]t)\b",
            r"\b(?:cannot|can['’]?t|unable\s+to)\s+(?:assist|help|fulfil|comply|provide|generate|create)\b",
            r"^\W*(?:sure|certainly|of\s+course|absolutely|okay|ok|sorry|unfortunately)\s*[,!.:]",
            r"\bhere\s+(?:is|are)\s+(?:the|your|some|an?|\w+)\s+(?:pairs?|prompts?|examples?|json|list)\b",
            r"\b(?:un)?safe[_\s-]?prompts?\b|\blorem\s+ipsum\b|\bplaceholder\b|\bas\s+requested\b",
            r"^\W*(?:pair|prompt|example|output|answer|note)\s*\d*\s*[:.]",
            r"\bcontent\s+polic(?:y|ies)\b|\bi\s+hope\s+this\b|\blet\s+me\s+know\b",
        ),
    ),
)


def hostile(text: str) -> Reason | None:
    """The first of ``PATTERNS`` that a text meets; None for a text without any."""
    folded = fold(text)
    return next((reason for reason, pattern in PATTERNS if pattern.search(folded)), None)
