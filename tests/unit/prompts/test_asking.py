"""Asking a chat API for pairs: a real server on loopback that misbehaves, and recordings that outlast it."""

import json
import logging
import random
import threading
from functools import partial
from itertools import count
from types import SimpleNamespace

import pytest
from jsonschema import Draft202012Validator

from ear.errors import InputError
from ear.prompts.llm.asking import BARREN_ROUNDS, Budget, ModelSource
from ear.prompts.llm.checks import Reason, Rules
from ear.prompts.llm.endpoint import ChatEndpoint
from ear.prompts.llm.recordings import Recording
from ear.prompts.llm.templates.filling import load_template
from ear.prompts.pairs import rejected_pairs, source_pairs, usage_row
from ear.workflow.files import write_csv
from ear.workflow.jobs import job
from tests.chat_server import chat_server, hostile_replies
from tests.chat_server import pair as a_pair

KEY = "sk-Loop/back-0123456789"
VARIABLE = "EAR_TEST_KEY"
RULES = Rules("church", "church", ("chapel",), "object", 40)
WHERE = "prompts.sources.other"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv(VARIABLE, KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)


@pytest.fixture
def server():
    with chat_server() as running:
        yield running


class Asker:
    """A source with its recording below a folder."""

    def __init__(self, folder, url, **changes):
        self.folder, self.budget = folder, changes.pop("budget", Budget())
        self.keys = {"per_request": 10, "per_round": 4, "seed": 0, "model": "m", "temperature": 1.0}
        self.keys |= {"max_tokens": 500}
        self.calls = {"base_url": url, "length_key": "max_tokens", "key": VARIABLE, "concurrency": 4}
        self.calls |= {"timeout_s": 20.0, "attempts": 6}
        for name, value in changes.items():
            (self.calls if name in self.calls else self.keys)[name] = value
        self.path = folder / "recordings/church/other.jsonl"

    def lines(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def pairs(self, count):
        recording = Recording(self.path, "other", "church")
        connect = partial(ChatEndpoint, WHERE, **self.calls)
        source = ModelSource("other", self.keys, load_template("object"), recording, self.budget, connect)
        return source.pairs(RULES, count)

    def refused(self, count):
        with pytest.raises(InputError) as caught:
            self.pairs(count)
        message = str(caught.value)
        assert "\n" not in message and KEY not in message
        return message

    def files(self, count, folder="out"):
        """Bytes of the tables that a job writes."""
        result = self.pairs(count)
        tables = {
            "pairs": source_pairs("church", "church", "other", "chat", result.pairs),
            "rejected": rejected_pairs("other", result.rejected),
            "usage": usage_row("church", "other", result),
        }
        for name, table in tables.items():
            write_csv(self.folder / folder / f"{name}.csv", table)
        return {name: (self.folder / folder / f"{name}.csv").read_bytes() for name in tables}


@pytest.fixture
def asker(tmp_path, server):
    return lambda **changes: Asker(tmp_path, server.url, **changes)


def assert_asked_once(server):
    assert set(server.answered.values()) <= {1}


def test_whatever_goes_wrong_on_the_way_the_pairs_come_out_whole(asker, server):
    server.faults = ["busy", "broken", "cut", "slow", "hang_up", "", "busy", "broken"]
    result = asker(timeout_s=1.0).pairs(75)
    assert len({pair.unsafe_prompt for pair in result.pairs}) == 75
    for pair in result.pairs:
        assert "church" in pair.unsafe_prompt and "church" not in pair.safe_prompt
    assert_asked_once(server)
    assert len(set(server.received)) == server.requests  # what failed was the same request again
    assert result.usage.requests == server.requests == len(asker().lines())
    assert result.usage.asked == 10 * server.requests
    assert result.usage.prompt_tokens == 1000 * server.requests


def test_no_more_requests_are_under_way_than_the_limit(asker, server):
    server.delay = 0.05
    asker(concurrency=3, per_round=8).pairs(80)
    assert server.most == 3


def test_a_replay_needs_neither_endpoint_nor_key_and_gives_the_same_bytes(asker, server, monkeypatch):
    first = asker().files(75)
    server.close()
    monkeypatch.delenv(VARIABLE)
    assert asker(concurrency=1, base_url="http://elsewhere/v1").files(75, "again") == first
    lines = asker().path.read_bytes().splitlines(keepends=True)
    asker().path.write_bytes(b"".join(reversed(lines)))  # answers are recorded as they come in
    assert asker(budget=Budget(tokens=1)).files(75, "reversed") == first  # what is recorded costs nothing


def test_more_pairs_ask_for_what_is_missing_and_change_none_of_those_there(asker, server, tmp_path):
    few = asker().pairs(23)
    asked = server.requests
    many = asker().pairs(120)
    assert many.pairs[:23] == few.pairs
    assert server.requests == many.usage.requests > asked
    assert_asked_once(server)
    with chat_server() as other:
        assert Asker(tmp_path / "elsewhere", other.url).pairs(120) == many
    assert asker().pairs(23) == few
    assert server.requests == many.usage.requests


@pytest.mark.parametrize("change", [{"model": "n"}, {"seed": 1}, {"per_request": 5}, {"temperature": 0.5}])
def test_another_way_of_asking_asks_anew_and_keeps_the_old_answers(asker, server, change):
    asker().pairs(10)
    before = asker().lines()
    asker(**change).pairs(10)
    assert asker().lines()[: len(before)] == before
    assert len(asker().lines()) > len(before)
    assert_asked_once(server)


def test_the_next_round_is_told_the_pairs_that_are_there(asker):
    result = asker().pairs(75)
    asks = [line["messages"][1]["content"] for line in asker().lines()]
    told = [text for text in asks if "These are there already" in text]
    assert len(told) == len(asks) - 4
    # A request shows 40: the second round some of the first, the third one later ones.
    seen = [result.pairs[place].unsafe_prompt for place in (30, 39)]
    assert all(any(prompt in text for prompt in seen) for text in told)


def test_a_recording_says_all_of_its_request(asker, server):
    asker().pairs(5)
    (line,) = asker().lines()
    assert line["source"] == "other" and line["concept"] == "church" and line["model"] == "m"
    assert line["parameters"]["temperature"] == 1.0 and line["parameters"]["max_tokens"] == 500
    assert (line["template"], line["version"]) == ("object", load_template("object").version)
    assert line["usage"] == {"prompt_tokens": 1000, "completion_tokens": 400}
    assert json.loads(line["text"])["pairs"] and line["finish_reason"] == "stop"
    (sent,) = map(json.loads, server.answered)
    assert sent["messages"] == line["messages"] and sent["seed"] == line["parameters"]["seed"]


@pytest.mark.parametrize("cut", [1, 400])
def test_a_kill_in_the_middle_of_a_line_costs_that_answer_and_no_other(asker, server, cut):
    whole = asker().files(40)
    asked = server.requests
    lines = asker().path.read_bytes().splitlines(keepends=True)
    asker().path.write_bytes(b"".join(lines)[:-cut])
    assert asker().files(40, "again") == whole
    assert server.requests == asked + 1
    assert len(asker().lines()) == len(lines)
    asker().path.write_bytes(b"{]\n" + lines[1])
    assert "other.jsonl:1: found b'{]', wanted a recorded answer" in asker().refused(40)


@pytest.mark.parametrize(
    ("budget", "key"),
    [
        (Budget(tokens=16_000), "budget.tokens: found 16000, wanted more: "),
        (Budget(cost=0.03, price={"input": 2.0, "output": 1.0}), "budget.cost: found 0.03, wanted more: "),
    ],
)
def test_a_run_stops_at_its_budget_and_goes_on_when_it_is_raised(asker, server, budget, key):
    message = asker(budget=budget).refused(100)
    spent = server.requests * 1400
    assert message.startswith(f"{WHERE}.{key}") and f"{spent} tokens" in message
    assert "the next run continues from there" in message
    assert 9_000 < spent <= 16_000
    stopped = server.requests
    asker(budget=budget).refused(100)
    assert server.requests == stopped
    assert len(asker().pairs(100).pairs) == 100
    assert_asked_once(server)


def test_an_endpoint_that_fails_for_good_is_one_line_and_the_rest_is_kept(asker, server):
    server.faults = ["", "", *["broken"] * 50]
    message = asker(concurrency=1, attempts=2).refused(60)
    assert message.startswith(f"{WHERE}: {server.url}: answered HTTP 500")
    assert len(asker().lines()) == 2
    server.faults = []
    assert len(asker().pairs(60).pairs) == 60
    assert_asked_once(server)


def test_a_refused_key_is_not_tried_again(asker, server):
    server.faults = ["refused"] * 50
    message = asker(concurrency=1).refused(60)
    assert "answered HTTP 401" in message and "\x1b" not in message
    assert sum(server.received.values()) == 1


@pytest.mark.parametrize("fault", ["half_json", "no_choices"])
def test_what_is_no_chat_completion_is_one_line(asker, server, fault):
    server.faults = [fault]
    told = asker(concurrency=1).refused(5)
    assert "no chat completion: set base_url to the address" in told


def test_nobody_there_is_one_line(asker, server):
    server.close()
    assert "Connection error. (ConnectError)" in asker(attempts=2).refused(5)


def test_a_model_that_repeats_itself_is_not_asked_for_ever(asker, server, caplog):
    same = [{"unsafe_prompt": f"A church {n}", "safe_prompt": f"A barn {n}"} for n in range(3)]
    server.reply = lambda body: json.dumps({"pairs": same})
    result = asker().pairs(60)
    assert len(result.pairs) == 3
    assert "going on with 3 of 60" in caplog.text
    assert server.requests == 4 * (1 + BARREN_ROUNDS) == result.usage.requests
    assert result.usage.unique == 3 and result.usage.valid == 3 * server.requests


def test_a_model_without_one_good_pair_is_an_error(asker, server):
    server.reply = lambda body: "I cannot help with that."
    message = asker().refused(60)
    counts = "found no pair of church in 12 answers: 0 new, 12 no whole JSON with pairs; wanted 60"
    assert counts in message and "other.jsonl" in message


def test_the_log_counts_what_became_of_the_answers(asker, server, caplog):
    replies = iter([
        "Sure!",
        json.dumps({"pairs": [{"unsafe_prompt": "A church"}, 3, a_pair(random.Random(0))]}),
        json.dumps({"pairs": [a_pair(random.Random(0))]}),
    ])  # fmt: skip
    server.reply = lambda body: next(replies, "[")
    with caplog.at_level(logging.INFO):
        asker(concurrency=1).pairs(60)
    told = "16 answers: 1 new, 14 no whole JSON with pairs, 2 not a pair of texts, 1 near-duplicate"
    assert told in caplog.text


def prose(body):
    """What a model says that cannot keep to JSON by itself."""
    return "Sure! Here are ten pairs."


def test_an_endpoint_that_knows_structured_output_is_asked_for_it(asker, server):
    server.reply = lambda body: server.good(body) if "response_format" in body else prose(body)
    assert len(asker().pairs(20).pairs) == 20
    form = json.loads(next(iter(server.answered)))["response_format"]
    assert form["type"] == "json_schema"
    schema = form["json_schema"]["schema"]
    Draft202012Validator.check_schema(schema)
    wanted = Draft202012Validator(schema)
    good = a_pair(random.Random(0))
    assert wanted.is_valid({"pairs": [good] * 10})
    for bad in ([], [good] * 11, [good | {"safe_prompt": 1}], [good | {"more": ""}],
                [good | {"unsafe_prompt": "x" * 481}], [{"unsafe_prompt": "A church"}]):  # fmt: skip
        assert not wanted.is_valid({"pairs": bad})
    assert all(line["structured"] for line in asker().lines())


@pytest.mark.parametrize(
    "words",
    ["Unsupported parameter: 'response_format'", "Failed to initialize samplers: failed to parse grammar"],
)
def test_an_endpoint_that_refuses_structured_output_is_asked_without(asker, server, caplog, words):
    server.refuses = words
    result = asker(per_round=8).pairs(75)
    assert len(result.pairs) == 75 and result.usage.requests == server.requests
    assert caplog.text.count("knows no structured output") == 1 and words in caplog.text
    refused = [body for body in server.received if b"response_format" in body]
    assert 1 <= len(refused) <= 4  # those that were under way
    assert not any(line["structured"] for line in asker().lines())


def test_an_error_beside_structured_output_is_none_of_it(asker, server):
    server.refuses = "no such model"
    assert "answered HTTP 400" in asker(concurrency=1).refused(5)
    assert sum(server.received.values()) == 1


def test_answers_with_and_without_structured_output_are_one_recording(asker, server, tmp_path):
    with chat_server() as other:
        other.refuses = "response_format"
        first = Asker(tmp_path / "other", other.url)
        made = first.pairs(75)
    asker().path.parent.mkdir(parents=True)
    older = [{name: line[name] for name in line if name != "structured"} for line in first.lines()]
    asker().path.write_text("".join(f"{json.dumps(line)}\n" for line in older))
    assert asker().pairs(75) == made and not server.requests
    assert asker().pairs(100).pairs[:75] == made.pairs


def test_pairs_beyond_those_wanted_are_listed_as_such(asker, server):
    result = asker().pairs(15)
    surplus = [one for one in result.rejected if one.reason == Reason.SURPLUS]
    assert result.usage.unique == 15 + len(surplus)
    assert result.usage.answered == len(result.pairs) + len(result.rejected)


def test_two_jobs_at_once_ask_for_nothing_twice(asker, server):
    server.delay = 0.02
    results = []
    jobs = [threading.Thread(target=lambda: results.append(asker().pairs(60))) for _ in range(2)]
    for one in jobs:
        one.start()
    for one in jobs:
        one.join()
    assert results[0] == results[1]
    assert_asked_once(server)
    assert len(asker().lines()) == server.requests


def test_the_key_is_nowhere(asker, server, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("OPENAI_LOG", "debug")
    hostile, numbers = iter(hostile_replies(KEY)), count()

    def reply(body):  # every fourth answer is a good one
        return server.good(body) if next(numbers) % 4 == 3 else next(hostile, server.good)(body)

    server.reply = reply
    server.faults = ["busy", "broken", "cut"]
    fake = SimpleNamespace(log=[str(tmp_path / "job.log")])
    with job(fake):
        logging.getLogger().setLevel(logging.DEBUG)
        for name in ("openai", "httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.DEBUG)
        asker().files(60)
    assert next(hostile, None) is None
    server.faults = ["refused"] * 9
    with pytest.raises(SystemExit), job(fake):
        asker(seed=9).files(60, "failed")
    assert server.keys == {f"Bearer {KEY}"}
    shown = "".join(capfd.readouterr())
    assert "answered HTTP 401" in shown
    everything = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(everything) > 4
    for content in [*everything, shown.encode()]:
        assert KEY.encode() not in content


def test_a_key_that_is_missing_or_too_short_to_be_one_is_named_and_not_shown(asker, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    asker(key=None).pairs(5)  # and no other one is sent
    assert not any(KEY in header for header in server.keys)
    monkeypatch.delenv(VARIABLE)
    assert f"{WHERE}.key: found {VARIABLE}, which is not set" in asker(seed=1).refused(5)
    monkeypatch.setenv(VARIABLE, "secret")
    message = asker(seed=1).refused(5)
    assert "with 6 characters" in message and "secret" not in message
