"""Limits: bounded on both sides, and the tighter of two holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.limits import EffectiveLimits, ExecutionLimits, NetworkAccess, ResourceLimits, tighter
from tests.unit.storable import assert_jsonb

BOUNDS = {
    (ResourceLimits, "max_memory_mb"): (32, 1_048_576),
    (ResourceLimits, "max_cpu_cores"): (0.05, 1024),
    (ResourceLimits, "max_execution_time_seconds"): (0.1, 86_400),
    (ResourceLimits, "max_file_descriptors"): (16, 1_048_576),
    (ResourceLimits, "storage_quota_mb"): (4, 1_048_576),
    (ExecutionLimits, "max_execution_time_seconds"): (0.1, 86_400),
    (ExecutionLimits, "max_memory_mb"): (32, 1_048_576),
    (ExecutionLimits, "max_cpu_percent"): (5, 102_400),
    (ExecutionLimits, "max_processes"): (1, 32_768),
    (ExecutionLimits, "max_file_descriptors"): (16, 1_048_576),
    (ExecutionLimits, "max_network_requests"): (0, 1_000_000),
}
FIELDS = list(BOUNDS)

resource_limits = st.builds(
    ResourceLimits,
    max_memory_mb=st.integers(32, 10_000),
    max_cpu_cores=st.floats(0.05, 64),
    max_execution_time_seconds=st.floats(0.1, 86_400),
    max_file_descriptors=st.integers(16, 10_000),
    storage_quota_mb=st.integers(4, 10_000),
)
execution_limits = st.builds(
    ExecutionLimits,
    max_memory_mb=st.integers(32, 10_000),
    max_cpu_percent=st.floats(5, 6_400),
    max_execution_time_seconds=st.floats(0.1, 86_400),
    max_file_descriptors=st.integers(16, 10_000),
    max_processes=st.integers(1, 1_000),
)


def test_the_defaults_are_those_that_were_promised():
    assert ResourceLimits().model_dump() == {
        "max_memory_mb": 512,
        "max_cpu_cores": 1.0,
        "max_execution_time_seconds": 300,
        "max_file_descriptors": 100,
        "storage_quota_mb": 1024,
        "network_access": NetworkAccess.RESTRICTED,
    }
    assert ExecutionLimits().model_dump() == {
        "max_execution_time_seconds": 30,
        "max_memory_mb": 256,
        "max_cpu_percent": 50.0,
        "max_processes": 10,
        "max_file_descriptors": 50,
        "max_network_requests": 100,
    }


@given(resource_limits, execution_limits)
def test_no_effective_limit_is_looser_than_either(resource, execution):
    both = tighter(resource, execution)
    assert both.memory_mb == min(resource.max_memory_mb, execution.max_memory_mb)
    assert both.cpu_cores == min(resource.max_cpu_cores, execution.max_cpu_percent / 100)
    assert both.execution_time_seconds <= resource.max_execution_time_seconds
    assert both.execution_time_seconds <= execution.max_execution_time_seconds
    assert both.file_descriptors <= resource.max_file_descriptors
    assert both.file_descriptors <= execution.max_file_descriptors
    assert both.processes == execution.max_processes
    assert both.storage_mb == resource.storage_quota_mb


@given(resource_limits, execution_limits)
def test_effective_limits_survive_being_stored(resource, execution):
    limits = tighter(resource, execution)
    dumped = limits.model_dump(mode="json")
    assert_jsonb(dumped)
    assert EffectiveLimits.model_validate(dumped) == limits


@pytest.mark.parametrize(("model", "field"), FIELDS)
def test_the_bounds_themselves_are_accepted(model, field):
    for bound in BOUNDS[model, field]:
        assert getattr(model.model_validate({field: bound}), field) == bound


@pytest.mark.parametrize(("model", "field"), FIELDS)
@pytest.mark.parametrize(
    "value",
    [pytest.param(10**400, id="401 digits"), "below", "above", float("nan"), float("inf"),
     float("-inf"), "nan",
     "Infinity", "1e999", "", "ten", None, [], {}, -1, "\x00", "\ud800", "٣٣", 1j],
)  # fmt: skip
def test_a_limit_out_of_bounds_is_refused_by_name(model, field, value):
    low, high = BOUNDS[model, field]
    if value in ("below", "above"):
        value = low - 0.01 if value == "below" else high + 1
    with pytest.raises(ValidationError) as refused:
        model.model_validate({field: value})
    assert refused.value.errors()[0]["loc"] == (field,)


@pytest.mark.parametrize(("model", "field"), FIELDS)
@pytest.mark.parametrize("value", [True, False, "64", 64.0, -0.0])
def test_what_is_read_as_a_number_is_kept_as_a_number(model, field, value):
    try:
        kept = getattr(model.model_validate({field: value}), field)
    except ValidationError:
        return
    assert type(kept) in (int, float)
    assert kept == float(value)


@pytest.mark.parametrize("model", [ResourceLimits, ExecutionLimits, EffectiveLimits])
def test_an_unknown_limit_is_refused_by_name(model):
    with pytest.raises(ValidationError) as refused:
        model.model_validate({"max_memory": 1})
    assert ("max_memory",) in [error["loc"] for error in refused.value.errors()]


@pytest.mark.parametrize("value", ["Full", "full ", "host", "bridge", "", 1, True, None, "full\n"])
def test_a_network_access_of_another_name_is_refused(value):
    with pytest.raises(ValidationError) as refused:
        ResourceLimits.model_validate({"network_access": value})
    assert refused.value.errors()[0]["loc"] == ("network_access",)


def test_limits_cannot_be_changed_afterwards():
    limits = ResourceLimits()
    with pytest.raises(ValidationError):
        limits.max_memory_mb = 10**9
