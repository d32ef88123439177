"""Ordinary programs that must run under RestrictedPython as they do without it."""

ORDINARY = '''
"""What a small program of an agent looks like."""
from __future__ import annotations
import collections.abc as shapes
import collections, datetime, functools, itertools, json, math, operator, re, statistics, sys
from abc import ABC, abstractmethod
from collections import Counter, defaultdict, namedtuple
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from decimal import Decimal, getcontext
from enum import Enum, auto
from typing import Any, ClassVar, NamedTuple

__version__ = "1.0"
_RATE: float = 0.5

class Colour(Enum):
    RED = auto()
    BLUE = auto()

    @classmethod
    def _missing_(cls, value):
        return cls.RED

class Shape(ABC):
    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    @abstractmethod
    def area(self) -> float: ...

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    def __lt__(self, other: Shape) -> bool:
        return self.area() < other.area()

class Square(Shape):
    made: ClassVar[int] = 0

    def __init__(self, side: float) -> None:
        super().__init__(name="square")
        self.__side = side
        Square.made += 1

    def area(self) -> float:
        return self.__side ** 2

@dataclass(order=True)
class Item:
    price: float
    name: str = field(compare=False, default="")
    tags: list[str] = field(default_factory=list, compare=False)
    sold: ClassVar[int] = 0

    def __post_init__(self) -> None:
        self._cache: dict[str, Any] = {}

    @property
    def gross(self) -> float:
        self._cache.setdefault("gross", self.price * 1.5)
        return self._cache["gross"]

@dataclass(frozen=True)
class Point:
    x: int
    y: int = 0

    def __add__(self, other: Point) -> Point:
        return Point(self.x + other.x, self.y + other.y)

class Row(NamedTuple):
    key: str
    value: int = 0

def counted(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        wrapper.calls += 1
        return function(*args, **kwargs)
    wrapper.calls = 0
    return wrapper

@counted
def power(base: int, *, exponent: int = 2) -> int:
    return base ** exponent

@contextmanager
def step(name: str):
    log.append("<" + name)
    try:
        yield name.upper()
    finally:
        log.append(name + ">")

def counter():
    count = 0
    def more(by: int = 1) -> int:
        nonlocal count
        count += by
        return count
    return more

def walk(tree):
    match tree:
        case {"left": left, "right": right, **_rest}:
            yield from walk(left)
            yield from walk(right)
        case [Point(x=x, y=0) | x, *_]:
            yield x
        case int(number) if number > 1:
            yield number
        case Colour.RED | None:
            yield "red"

log: list[str] = []
out = {}
item = Item(2.0, "pen", ["a"])
item.price += 1
item.tags += ["b"]
item.tags[0] *= 2
Item.sold += 1
out["item"] = [asdict(item), item.gross, [f.name for f in fields(item)], Item(1.0) < item]
shapes_made = sorted([Square(3), Square(2)])
out["shapes"] = [repr(shape) for shape in shapes_made] + [Square.made, str(max(shapes_made).area())]
out["point"] = str(Point(1) + Point(2, 3))
out["row"] = [Row("a")._replace(value=2)._asdict(), namedtuple("N", "a b")(1, 2)._fields]
out["enum"] = [Colour("?").name, Colour["BLUE"].value, len(Colour.__members__)]
first, (second, *rest) = last = (1, (2, 3, 4))
out["unpacked"] = [first, second, rest, last[1][0:2]]
out["nested"] = [x * y for x in range(3) if x for y in range(2)] + list({n % 3 for n in range(9)})
out["dict"] = {key: value for key, value in zip("ab", itertools.count(1))}
out["calls"] = [power(2), power(*[3], **{"exponent": 3}), power.calls, power.__name__]
try:
    [][1]
except (KeyError, IndexError) as error:
    out["caught"] = f"{type(error).__name__}: {error}"
else:
    out["caught"] = "nothing"
finally:
    out["finally"] = True
with step("one") as name, step("two"):
    log.append(name)
out["log"] = log
more = counter()
more(); out["closure"] = more(by=4)
out["match"] = list(walk({"left": [Point(7)], "right": {"left": 5, "right": None, "more": 1}}))
out["text"] = ["{:>5}|{name!r:<6}|{name[0]}".format("ab", name="c"), "%05.1f" % math.pi]
out["text"].append(f"{1/3:.2%}")
out["map"] = "{a}-{b.x}".format_map({"a": 1, "b": Point(2)})
out["re"] = re.sub(r"(?P<w>[a-z]+)", lambda m: m.group("w").title(), "ab cd")
out["dates"] = (datetime.date(2024, 2, 28) + datetime.timedelta(days=2)).isoformat()
out["parsed"] = datetime.datetime.strptime("2024-01-02", "%Y-%m-%d").strftime("%d.%m.%y")
out["counts"] = Counter("abca").most_common(1) + [isinstance({}, shapes.Mapping)]
out["statistics"] = [statistics.mean([1, 2, 3]), statistics.median([4, 1])]
out["tools"] = [functools.reduce(operator.add, [1, 2])]
out["tools"].append(sorted("ba", key=operator.methodcaller("upper")))
getcontext().prec = 5
out["decimal"] = str(Decimal(1) / 3)
grouped = defaultdict(list)
for number, letter in enumerate("abc", start=1):
    grouped[number % 2].append(letter)
out["grouped"] = grouped
if (length := len(log)) > 2:
    out["walrus"] = length
global_total = 0
def add(amount):
    global global_total
    global_total += amount
for amount in 1, 2:
    add(amount)
out["total"] = [global_total, _RATE, getattr(item, "absent", "default"), hasattr(item, "__len__")]
out["argv"] = sys.argv[1:]
out["stdin"] = json.load(sys.stdin)
with open("output/result.json", "w", encoding="utf-8") as file:
    json.dump(out, file)
print("done", len(out), file=sys.stderr)
print("printed", 1, sep="-", end="!\\n")
if __name__ == "__main__":
    sys.exit(0)
'''

EXPECTED = {
    "item": [
        {"price": 3.0, "name": "pen", "tags": ["aa", "b"]}, 4.5, ["price", "name", "tags"], True,
    ],
    "shapes": ["Square('square')", "Square('square')", 2, "9"],
    "point": "Point(x=3, y=3)",
    "row": [{"key": "a", "value": 2}, ["a", "b"]],
    "enum": ["RED", 2, 2],
    "unpacked": [1, 2, [3, 4], [2, 3]],
    "nested": [0, 1, 0, 2, 0, 1, 2],
    "dict": {"a": 1, "b": 2},
    "calls": [4, 27, 2, "power"],
    "caught": "IndexError: list index out of range",
    "finally": True,
    "log": ["<one", "<two", "ONE", "two>", "one>"],
    "closure": 5,
    "match": [7, 5, "red"],
    "text": ["   ab|'c'   |c", "003.1", "33.33%"],
    "map": "1-2",
    "re": "Ab Cd",
    "dates": "2024-03-01",
    "parsed": "02.01.24",
    "counts": [["a", 2], True],
    "statistics": [2, 2.5],
    "tools": [3, ["a", "b"]],
    "decimal": "0.33333",
    "grouped": {"1": ["a", "c"], "0": ["b"]},
    "walrus": 5,
    "total": [3, 0.5, "default", False],
    "argv": ["x", "y z"],
    "stdin": {"in": [1]},
}  # fmt: skip
