"""Checks on what language models send back, which is untrusted input: see docs/checks.md."""

from ear.prompts.checks.records import ASPECTS, REPEATS, Checked, Proposed, Reason, Rejected, Rules
from ear.prompts.checks.response import check_response

__all__ = ["ASPECTS", "REPEATS", "Checked", "Proposed", "Reason", "Rejected", "Rules", "check_response"]
