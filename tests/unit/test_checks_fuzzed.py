"""What holds for any response at all, and for seeded hostile ones by the thousand."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.prompts.checks import check_response
from tests import responses
from tests.unit.test_checks import EXAMPLES, GOOD, check

CHURCH = responses.CHURCH


@given(st.text())
def test_any_text_is_checked_without_an_error(text):
    checked = check_response(text, CHURCH, 3, [])
    assert checked.pairs == [] and checked.rejected


@given(st.integers(0, 2**32))
def test_what_passes_keeps_every_rule(seed):
    response = responses.fuzzed(random.Random(seed))
    checked = check_response(response.text, response.rules, response.wanted, response.held)
    responses.assert_valid(response, checked)


@given(st.integers(0, 2**32))
def test_checking_the_kept_ones_again_keeps_them_all(seed):
    response = responses.fuzzed(random.Random(seed))
    kept = check_response(response.text, response.rules, response.wanted, response.held).pairs
    again = responses.as_json(kept)
    assert check_response(again, response.rules, len(kept), []).pairs == kept
    assert check_response(again, response.rules, len(kept), kept).pairs == []


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([pair for pairs in EXAMPLES.values() for pair in pairs] + [GOOD]), max_size=8),
    st.randoms(),
)
def test_the_order_of_pairs_changes_no_reason(pairs, rng):
    shuffled = rng.sample(pairs, len(pairs))
    found = [
        sorted((one.reason, one.unsafe_prompt) for one in check(*order).rejected)
        for order in (pairs, shuffled)
    ]
    assert found[0] == found[1]


def test_five_thousand_fuzzed_responses_let_no_invalid_pair_through():
    assert responses.soak(range(5000)).kept > 1000


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_hundred_thousand_fuzzed_responses_let_no_invalid_pair_through(capsys):
    result = responses.soak_in_two(200_000)
    with capsys.disabled():
        print(result.report())
    assert result.responses == 200_000
