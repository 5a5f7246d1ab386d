"""Whether each asset is here, or can be fetched from where it is."""

import threading
from collections.abc import Sequence
from queue import Empty, Queue
from time import monotonic

import requests
from huggingface_hub import HfApi

from ear.assets.catalogue import Asset, Hub, Urls
from ear.assets.fetch import hub_errors
from ear.check.finding import Finding
from ear.errors import InputError, one_line
from ear.plan.assets import Needed

DEADLINE_S = 4.0
"""For all answers together."""
ELSEWHERE = "fetch it where there is a network (snakemake assets), or set assets.root to a folder with it"


class Requests:
    """One request for each asset that would be fetched, all under way at once; none of them fetches it.

    Args:
        needed: all assets of the experiment.
    """

    def __init__(self, needed: Sequence[Needed]) -> None:
        self._needed = needed
        self._deadline = monotonic() + DEADLINE_S
        self._answers: Queue[tuple[str, str]] = Queue()
        self._open = {one.name for one in needed if one.fetch}
        for one in needed:
            if one.fetch:  # a daemon: nobody waits for one that does not answer
                threading.Thread(target=self._ask, args=[one.name, one.asset], daemon=True).start()

    def _ask(self, name: str, asset: Asset) -> None:
        self._answers.put((name, obstacle(asset)))

    def findings(self) -> list[Finding]:
        """A line for each asset, in order, as soon as all have answered or the time is over."""
        answers: dict[str, str] = {}
        while self._open - answers.keys():
            try:
                name, found = self._answers.get(timeout=max(0.0, self._deadline - monotonic()))
            except Empty:
                break
            answers[name] = found
        return [self._finding(one, answers) for one in self._needed]

    def _finding(self, one: Needed, answers: dict[str, str]) -> Finding:
        what = f"asset {one.name}"
        if not one.fetch:
            lacking = one.state.startswith(("missing", "pip install"))
            wanted = f"; wanted {one.asset.title} from {one.asset.source.words}" if lacking else ""
            return Finding("error" if lacking else "ok", what, one.state + wanted)
        found = answers.get(one.name, f"no answer in {DEADLINE_S:.0f} s")
        if found:
            return Finding("error", what, f"to fetch, and {found}; {ELSEWHERE}")
        return Finding("ok", what, f"to fetch, {one.asset.size_words}, reachable")


def obstacle(asset: Asset) -> str:
    """Why an asset cannot be fetched now; empty where its source answers as it should."""
    source = asset.source
    if isinstance(source, Hub):
        try:
            with hub_errors(source):
                HfApi().auth_check(source.repo)
        except InputError as error:
            return str(error)
    if isinstance(source, Urls):
        return next(filter(None, (_web(one.url) for one in source.downloads)), "")
    return ""


def _web(url: str) -> str:
    """Why an address gives no file; looks at the head of its answer and reads nothing of it."""
    try:
        with requests.get(url, stream=True, timeout=DEADLINE_S) as response:
            if not response.ok:
                return f"{url} answers {response.status_code} {response.reason}"
            if response.headers.get("Content-Type", "").startswith("text/html"):
                return f"{url} answers with a web page in place of the file"
    except requests.RequestException as error:
        return f"{url} is not reachable: {one_line(error)}"
    return ""
