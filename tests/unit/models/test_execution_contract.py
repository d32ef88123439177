"""A hostile client against the request: refused by name, or storable and read back the same."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.agent import MAX_FILE_BYTES, MAX_FILES_BYTES
from models.batch import MAX_STDIN_BYTES
from models.execution import ExecutionRequest
from models.tool import ToolExecutionRequest
from tests.unit.storable import assert_jsonb

any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
evil = st.one_of(
    any_text,
    st.sampled_from(
        ["\x00", "\ud800", "a\x00b", "..", "", 10**400, -(10**400), 2**63, float("nan"), True,
         float("inf"), float("-inf"), -0.0, None, [], {}, [[]], b"\xff", "main.py", "minimal"]
    ),
    st.lists(any_text, max_size=3),
    st.dictionaries(any_text, any_text, max_size=3),
    st.dictionaries(any_text, st.dictionaries(any_text, any_text, max_size=2), max_size=2),
)  # fmt: skip
HUGE = pytest.param(10**5000, id="5001 digits")  # more than Python writes
BIG = pytest.param(10**4000, id="4001 digits")
OVER = pytest.param(10**400, id="401 digits")  # more than a float holds
FIELDS = list(ExecutionRequest.model_fields)
evil_context = st.fixed_dictionaries(
    {}, optional={"memory": evil, "goal": evil, "step": evil, "max_steps": evil}
)
evil_files = st.lists(
    st.fixed_dictionaries(
        {"path": st.one_of(evil, st.sampled_from(["a", "a/b", "b"])), "content": evil},
        optional={"encoding": st.sampled_from(["utf-8", "base64", "hex"])},
    ),
    max_size=3,
)
evil_requests = st.builds(
    lambda base, more, context, files: base | more | context | files,
    st.sampled_from([{"source": "x"}, {"command": ["x"]}, {"agent": "x"}, {}]),
    st.dictionaries(st.sampled_from(FIELDS), evil, max_size=3),
    st.one_of(st.just({}), evil_context.map(lambda value: {"context": value})),
    st.one_of(st.just({}), evil_files.map(lambda value: {"files": value})),
)


def refusal(body):
    """Return the fields and the words of the refusal."""
    with pytest.raises(ValidationError) as refused:
        ExecutionRequest.model_validate(body)
    return "; ".join(
        f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in refused.value.errors()
    )


def assert_survives_the_store(body):
    request = ExecutionRequest.model_validate(body)
    stored = request.model_dump(mode="json", exclude_unset=True)
    assert_jsonb(stored)
    again = ExecutionRequest.model_validate(json.loads(json.dumps(stored)))
    assert again == request
    assert again.model_fields_set == request.model_fields_set


@given(evil_requests)
@example({"source": "\ud800"})
@example({"source": "x", "allowed_hosts": ["\u0130.com"]})
@example({"source": "x", "allowed_hosts": ["fe80::1%\ud800/64"]})
def test_whatever_is_sent_is_refused_properly_or_survives_the_store(body):
    try:
        ExecutionRequest.model_validate(body)
    except ValidationError:
        return
    assert_survives_the_store(body)


@pytest.mark.parametrize("body", [None, [], "x", 1, True, b"{}", {1: 2}, {None: 1}, {}])
def test_a_body_that_is_no_request_is_refused(body):
    with pytest.raises(ValidationError):
        ExecutionRequest.model_validate(body)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [object(), 1j, lambda: None, {1: {2: 3}}, b"\xff\xfe"])
def test_a_value_of_no_known_type_is_refused_with_the_field(name, value):
    body = {"source": "x", name: value} if name != "source" else {name: value}
    assert name.split("_")[0] in refusal(body)


# --- Which program ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"source": "x", "command": ["x"]},
        {"source": "x", "agent": "a"},
        {"command": ["x"], "agent": "a"},
        {"source": None, "command": None},
    ],
)
def test_exactly_one_program_is_wanted(body):
    assert "source" in refusal(body)
    assert "command" in refusal(body)


def test_tool_and_version_go_with_an_agent():
    assert "agent" in refusal({"source": "x", "tool": {"name": "t"}})
    assert "agent" in refusal({"source": "x", "agent_version": 1})


def test_a_tool_takes_no_stdin():
    assert "stdin" in refusal({"agent": "a", "tool": {"name": "t"}, "stdin": "x"})


def test_arguments_of_a_command_are_part_of_it():
    assert "args" in refusal({"command": ["x"], "args": ["y"]})


@pytest.mark.parametrize("value", ["ls -la", [], [1], [None], [["a"]], ["a\x00"], {"a": 1}])
def test_a_command_is_a_list_of_words(value):
    assert "command" in refusal({"command": value})


@pytest.mark.parametrize("version", [0, -1, 2**31, OVER, 1.5, "x", float("nan")])
def test_an_agent_version_out_of_range_is_refused(version):
    assert "agent_version" in refusal({"agent": "a", "agent_version": version})


@pytest.mark.parametrize("priority", [-1, 10, OVER, 4.5, "high", float("inf"), None])
def test_a_priority_out_of_range_is_refused(priority):
    assert "priority" in refusal({"source": "x", "priority": priority})


@pytest.mark.parametrize("field", ["priority", "max_attempts"])
def test_a_boolean_never_stays_one_where_a_number_is_kept(field):
    try:
        request = ExecutionRequest.model_validate({"source": "x", field: True})
    except ValidationError:
        return
    assert type(request.model_dump(mode="json")[field]) is int


# --- NUL and surrogates everywhere -----------------------------------------------------------

PLACES = {
    "source": lambda text: {"source": text},
    "command": lambda text: {"command": ["x", text]},
    "args": lambda text: {"source": "x", "args": [text]},
    "environment value": lambda text: {"source": "x", "environment": {"A": text}},
    "environment name": lambda text: {"source": "x", "environment": {text: "a"}},
    "label value": lambda text: {"source": "x", "labels": {"a": text}},
    "label name": lambda text: {"source": "x", "labels": {text: "a"}},
    "stdin": lambda text: {"source": "x", "stdin": text},
    "file content": lambda text: {"source": "x", "files": [{"path": "a", "content": text}]},
    "file path": lambda text: {"source": "x", "files": [{"path": text, "content": ""}]},
    "allowed host": lambda text: {"source": "x", "allowed_hosts": [text]},
    "image": lambda text: {"source": "x", "image": text},
    "agent": lambda text: {"agent": text},
    "goal": lambda text: {"source": "x", "context": {"goal": text}},
    "memory value": lambda text: {"source": "x", "context": {"memory": {"a": text}}},
    "memory name": lambda text: {"source": "x", "context": {"memory": {text: 1}}},
    "name inside memory": lambda text: {"source": "x", "context": {"memory": {"a": {text: 1}}}},
    "tool argument": lambda text: {"agent": "a", "tool": {"name": "t", "arguments": {"a": text}}},
    "tool argument name": lambda text: {
        "agent": "a",
        "tool": {"name": "t", "arguments": {text: 1}},
    },
    "unknown field": lambda text: {"source": "x", text: 1},
}


@pytest.mark.parametrize("place", PLACES)
def test_nul_is_refused(place):
    refusal(PLACES[place]("a\x00"))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", ["a\ud800", "\udfffb", "\udc80"])
def test_a_lone_surrogate_is_refused(place, text):
    refusal(PLACES[place](text))


@pytest.mark.parametrize("place", ["source", "command", "args", "stdin", "label value", "goal"])
def test_text_of_every_other_kind_survives_the_store(place):
    assert_survives_the_store(PLACES[place]("é \U0001f600 \u202e \ufffe \\u0000 \x01 \u2028 \r\n"))


# --- Free-form values ------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), HUGE, [[float("-inf")]]])
def test_a_number_that_json_cannot_write_is_refused(value):
    assert "memory" in refusal({"source": "x", "context": {"memory": {"a": value}}})


@pytest.mark.parametrize("depth", [17, 200, 5_000])
def test_a_deep_value_is_refused(depth):
    value = 1
    for _ in range(depth):
        value = {"a": value}
    assert "memory" in refusal({"source": "x", "context": {"memory": {"a": value}}})
    with pytest.raises(ValidationError):
        ToolExecutionRequest.model_validate({"name": "t", "arguments": {"a": value}})


@pytest.mark.parametrize("value", [-0.0, 1e308, 5e-324, BIG, True, None, "", [], {}])
def test_a_value_at_the_edge_of_json_survives_the_store(value):
    assert_survives_the_store({"source": "x", "context": {"memory": {"a": value}}})


def test_names_in_free_form_values_are_bounded():
    refusal({"source": "x", "context": {"memory": {"a" * 5_000_000: 1}}})


# --- Input -----------------------------------------------------------------------------------


def files(*paths, content=""):
    return {"source": "x", "files": [{"path": path, "content": content} for path in paths]}


def test_a_path_is_named_once():
    assert "files" in refusal(files("a", "b", "a"))


@pytest.mark.parametrize(
    "paths", [("a", "a/b"), ("a/b", "a"), ("a", "a/b/c/d"), ("a/b/c", "z", "a/b"), ("a/b", "a/b/c")]
)
def test_a_file_is_no_folder_of_another(paths):
    assert "both a file and a folder" in refusal(files(*paths))


@pytest.mark.parametrize("paths", [("a", "A"), ("a", "a.b"), ("a/b", "a/c"), ("a", "ab/c")])
def test_paths_that_only_resemble_each_other_are_different(paths):
    assert_survives_the_store(files(*paths))


@pytest.mark.parametrize("path", ["main.py", "context.json", "output", "output/a", "output/a/b"])
def test_what_the_sandbox_writes_itself_is_reserved(path):
    assert "path" in refusal(files(path))


@pytest.mark.parametrize("path", ["main.py/x", "context.json/x", "main.py/a/b"])
def test_no_folder_takes_the_name_of_a_file_that_the_sandbox_writes(path):
    assert "path" in refusal(files(path))


@pytest.mark.parametrize("path", ["Main.py", "src/main.py", "outputs/a", "OUTPUT", "output.txt"])
def test_what_only_resembles_a_reserved_name_is_free(path):
    assert_survives_the_store(files(path))


def test_a_file_is_at_most_its_limit_in_bytes_not_characters():
    assert_survives_the_store(files("a", content="x" * MAX_FILE_BYTES))
    assert "content" in refusal(files("a", content="x" * (MAX_FILE_BYTES + 1)))
    assert "content" in refusal(files("a", content="é" * (MAX_FILE_BYTES // 2 + 1)))


def test_files_together_are_at_most_their_limit():
    content = "x" * (MAX_FILES_BYTES // 2)
    assert_survives_the_store(files("a", "b", content=content))
    half = {"path": "c", "content": "x"}
    body = files("a", "b", content=content)
    assert "files" in refusal(body | {"files": [*body["files"], half]})


@pytest.mark.parametrize("content", ["!!!!", "QQ", "é===", "QQ==\n"])
def test_bad_base64_is_refused_with_its_field(content):
    bad = {"path": "a", "content": content, "encoding": "base64"}
    assert "content" in refusal({"source": "x", "files": [bad]})
    assert "stdin" in refusal({"source": "x", "stdin": content, "stdin_encoding": "base64"})


def test_stdin_is_at_most_its_limit_in_bytes():
    assert "stdin" in refusal({"source": "x", "stdin": "x" * (MAX_STDIN_BYTES + 1)})
    assert "stdin" in refusal({"source": "x", "stdin": "é" * (MAX_STDIN_BYTES // 2 + 1)})


def test_an_environment_over_its_limit_is_refused():
    body = {f"V{number}": "x" * 32_000 for number in range(5)}
    assert "environment" in refusal({"source": "x", "environment": body})


def test_arguments_over_what_a_program_can_be_given_are_refused():
    refusal({"command": ["x"] + ["é" * 32_768] * 255})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("environment", {"1A": "x"}),
        ("environment", {"A=B": "x"}),
        ("environment", {"A\n": "x"}),
        ("labels", {"": "x"}),
        ("labels", {"a" * 64: "x"}),
        ("labels", {"a": "x" * 257}),
        ("labels", {f"a{number}": "x" for number in range(33)}),
        ("labels", {"a": 1}),
        ("files", [{"path": "a"}]),
        ("files", [{"path": "a", "content": "", "mode": 0o777}]),
        ("files", [{"path": f"f{number}", "content": ""} for number in range(65)]),
        ("args", ["x"] * 257),
        ("max_attempts", 0),
        ("max_attempts", 11),
        ("image", "../x"),
        ("image", "registry/x:latest"),
        ("security_profile", "root"),
        ("restricted_python", "perhaps"),
        ("stdin_encoding", "latin-1"),
        ("context", {"step": -1}),
        ("context", {"philosophy": "stoic"}),
        ("resource_limits", {"max_memory_mb": 0}),
        ("unknown", 1),
    ],
)
def test_a_rule_that_is_broken_names_its_field(field, value):
    assert refusal({"source": "x", field: value}).startswith(field)
