"""CloudWatch metric math: arithmetic and the common functions over series, parsed with Python's own grammar.

See the CloudWatch user guide, "Using math expressions": series are joined where both have a value; a function over a
list of series works at each time on the values that are there.
"""

from __future__ import annotations

import ast
import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

Series = dict[float, float]


class MathError(Exception):
    """The expression is outside what is understood; the message says which part."""


_OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda a, b: a / b if b else math.nan,
    ast.Pow: operator.pow,
    ast.BitXor: operator.pow,  # CloudWatch writes a power as ^
    ast.Gt: lambda a, b: float(a > b),
    ast.GtE: lambda a, b: float(a >= b),
    ast.Lt: lambda a, b: float(a < b),
    ast.LtE: lambda a, b: float(a <= b),
    ast.Eq: lambda a, b: float(a == b),
    ast.NotEq: lambda a, b: float(a != b),
}
_FOLDS: dict[str, Callable[[list[float]], float]] = {
    "SUM": sum,
    "AVG": lambda values: sum(values) / len(values),
    "MIN": min,
    "MAX": max,
}
_EACH: dict[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}


def evaluate(
    expression: str, known: dict[str, Series], raw: dict[str, Series], period: int, start: float, end: float
) -> Series:
    """The series of an expression over those ``known`` by id; ``raw`` are what METRICS() means.

    Raises KeyError for an id that is not known (yet) and MathError for what is not understood.
    """
    try:
        tree = ast.parse(expression.strip().replace("&&", " and ").replace("||", " or "), mode="eval")
    except SyntaxError:
        raise MathError("invalid syntax") from None
    first = start - start % period
    times = [first + n * period for n in range(min(100_800, math.ceil((end - first) / period)))]
    result = _Evaluator(known, raw, period, times).value(tree.body)
    if isinstance(result, list):
        raise MathError("the expression is a list of series, not one")
    if isinstance(result, float):
        return dict.fromkeys(times, result)
    return {at: value for at, value in result.items() if not math.isnan(value)}


class _Evaluator:
    def __init__(self, known: dict[str, Series], raw: dict[str, Series], period: int, times: list[float]) -> None:
        self.known, self.raw, self.period, self.times = known, raw, period, times

    def value(self, node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                return self.known[name]
            case ast.List(elts=elements):
                return [self.value(e) for e in elements]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _join(operator.mul, -1.0, self.value(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _join(_OPERATORS[type(op)], self.value(left), self.value(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
                return _join(_OPERATORS[type(op)], self.value(left), self.value(right))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self.call(name, arguments)
        raise MathError(f"{ast.unparse(node)} is not supported")

    def call(self, name: str, arguments: list[ast.expr]) -> Any:
        if name == "METRICS":
            return list(self.raw.values())
        if name == "PERIOD":
            return float(self.period)
        values = [self.value(a) for a in arguments]
        if name in _FOLDS and len(values) == 1:
            return _fold(_FOLDS[name], values[0])
        if name in _EACH and len(values) == 1:
            return _join(lambda a, _: float(_EACH[name](a)), values[0], 0.0)
        if name == "FILL" and len(values) == 2 and isinstance(values[0], dict) and isinstance(values[1], float):
            return {at: values[0].get(at, values[1]) for at in self.times}
        if name == "IF" and len(values) == 3:
            either = [_join(lambda _, b: b, values[0], v) for v in values[1:]]
            if isinstance(values[0], float):
                return either[0] if values[0] else either[1]
            return {
                at: chosen[at] if isinstance(chosen, dict) else chosen
                for at, yes in values[0].items()
                if isinstance(chosen := either[0] if yes else either[1], float) or at in chosen
            }
        if name in ("RATE", "DIFF") and len(values) == 1 and isinstance(values[0], dict):
            return _differences(values[0], per_second=name == "RATE")
        raise MathError(f"the function {name} with {len(values)} arguments is not supported")


def _join(function: Callable[[float, float], float], left: Any, right: Any) -> Any:
    if isinstance(left, list) or isinstance(right, list):
        if isinstance(left, list) and isinstance(right, list):
            raise MathError("two lists of series cannot be combined")
        if isinstance(left, list):
            return [_join(function, one, right) for one in left]
        return [_join(function, left, one) for one in right]
    if isinstance(left, float) and isinstance(right, float):
        return function(left, right)
    if isinstance(left, float):
        return {at: function(left, value) for at, value in right.items()}
    if isinstance(right, float):
        return {at: function(value, right) for at, value in left.items()}
    return {at: function(value, right[at]) for at, value in left.items() if at in right}


def _fold(function: Callable[[list[float]], float], value: Any) -> Any:
    if isinstance(value, dict):
        # Over one series: a number, which is then the same at every time.
        return float(function(list(value.values()))) if value else math.nan
    if isinstance(value, float):
        return value
    series = [one for one in value if isinstance(one, dict)]
    times = {at for one in series for at in one}
    numbers = [one for one in value if isinstance(one, float)]
    return {at: float(function([*(one[at] for one in series if at in one), *numbers])) for at in times}


def _differences(series: Series, *, per_second: bool) -> Series:
    ordered = sorted(series.items())
    return {
        at: (value - before) / (at - earlier if per_second else 1)
        for (earlier, before), (at, value) in itertools.pairwise(ordered)
    }
