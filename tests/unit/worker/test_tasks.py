"""What a refused Celery call says."""

import pytest
from pydantic import ValidationError

from models.execution import ExecutionRequest
from worker.tasks import _summary


def test_a_refusal_names_at_most_five_fields_in_one_line():
    fields = {f"unknown{number}": 1 for number in range(9)}
    with pytest.raises(ValidationError) as refused:
        ExecutionRequest.model_validate({"source": "x"} | fields)
    text = _summary(refused.value)
    assert text.count("unknown") == 5
    assert "\n" not in text


def test_a_refusal_of_the_whole_request_has_a_name_too():
    with pytest.raises(ValidationError) as refused:
        ExecutionRequest.model_validate({})
    assert _summary(refused.value).startswith("request: ")


def test_a_refusal_never_repeats_what_was_sent():
    with pytest.raises(ValidationError) as refused:
        ExecutionRequest.model_validate({"source": "x", "environment": {"A": ["hunter2"]}})
    assert "hunter2" not in _summary(refused.value)
