"""The pickle inside a file of torch's -> the tensors that it describes.

In: the pickle's bytes, and a way from a storage's key to its numbers. Out: tensors by name. Nothing is unpickled: the
few instructions that a state dict needs are carried out here, on values that cannot run anything, and the first
other instruction or name ends the reading.

Source of the instructions and the names: what ``torch.save`` of torch 2.13.0 writes for a state dict (protocol 2),
and what ``torch/_weights_only_unpickler.py`` there allows.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from pixvec.errors import ModelError
from pixvec.model.checkpoint.mapping import MAX_DIMENSIONS, StoredTensor

_MAX_INSTRUCTIONS: Final = 200_000
"""A tensor takes some 35, and the largest CLIP has 1,400 tensors."""


class StorageType(NamedTuple):
    """The numbers that a storage of torch's holds: their NumPy type, and whether it stands for bfloat16."""

    dtype: str
    is_bfloat16: bool = False


LoadStorage: TypeAlias = Callable[[str, StorageType], StoredTensor]
"""Return the numbers, (n,), of the storage with this key."""


def read_state_dict(pickled: bytes, load_storage: LoadStorage) -> dict[str, StoredTensor]:
    """Return the tensors of a pickled state dict by name; what else it holds is read past.

    Raises
    ------
    ModelError
        The pickle does what no state dict does, or is malformed.
    """
    machine = _Machine(load_storage)
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
            if number >= _MAX_INSTRUCTIONS:
                raise ModelError(f"is refused: its pickle has more than {_MAX_INSTRUCTIONS:,} instructions")
            if (operation := _OPERATIONS.get(opcode.name)) is None:
                raise ModelError(f"is refused: no state dict needs the pickle instruction {opcode.name}")
            operation(machine, argument)
        state_dict = _as_dict(machine.pop())
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelError(f"its pickle is malformed: {error!s:.200}") from error
    return {name: value for name, value in state_dict.items() if isinstance(value, StoredTensor)}


@dataclass(slots=True)
class _Machine:
    load_storage: LoadStorage
    stack: list[Any] = field(default_factory=list)
    stacks_below_marks: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        return self.stack.pop()

    def mark(self) -> None:
        self.stacks_below_marks.append(self.stack)
        self.stack = []

    def pop_to_mark(self) -> list[Any]:
        values, self.stack = self.stack, self.stacks_below_marks.pop()
        return values

    def push_tuple(self, length: int) -> None:
        self.push(tuple(reversed([self.pop() for _ in range(length)])))

    def set_items(self, keys_and_values: list[Any]) -> None:
        keys, values = keys_and_values[::2], keys_and_values[1::2]
        if not all(isinstance(key, str) for key in keys):  # to hash nested tuples may take for ever
            raise ModelError("its pickle holds no state dict: a key is not text")
        _as_dict(self.stack[-1]).update(zip(keys, values, strict=True))

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        self.push(function(*arguments))  # only `find_name` brings a function here

    def build(self) -> None:
        """Drop the attributes of the state dict itself, where modules leave their versions."""
        self.pop()
        _as_dict(self.stack[-1])

    def find_name(self, name: str) -> None:
        if name not in _NAMES:
            raise ModelError(f"is refused: no state dict needs the name {name.replace(' ', '.'):.100}")
        self.push(_NAMES[name])

    def find_storage(self) -> None:
        match self.pop():
            case ("storage", StorageType() as storage_type, str() as key, str(), int() as length):
                storage = self.load_storage(key, storage_type)
            case _:
                raise ModelError("is refused: its pickle refers to something that is no storage")
        if storage.values.size != length:
            raise ModelError(f"storage {key!r} holds {storage.values.size} numbers and not {length}")
        self.push(storage)


_OPERATIONS: Final[Mapping[str, Callable[[_Machine, Any], None]]] = {
    "PROTO": lambda _machine, _version: None,
    "STOP": lambda _machine, _nothing: None,
    **dict.fromkeys(
        ("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"),
        _Machine.push,
    ),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "MARK": lambda machine, _: machine.mark(),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    "TUPLE1": lambda machine, _: machine.push_tuple(1),
    "TUPLE2": lambda machine, _: machine.push_tuple(2),
    "TUPLE3": lambda machine, _: machine.push_tuple(3),
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda machine, index: machine.memo.update({index: machine.stack[-1]})),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda machine, index: machine.push(machine.memo[index])),
    "GLOBAL": _Machine.find_name,
    "BINPERSID": lambda machine, _: machine.find_storage(),
    "REDUCE": lambda machine, _: machine.reduce(),
    "BUILD": lambda machine, _: machine.build(),
}


def _as_dict(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ModelError("its pickle holds no state dict")
    return value


def _ordered_dict() -> dict[Any, Any]:
    return {}


def _rebuild_tensor(
    storage: StoredTensor,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    _requires_grad: bool,
    _backward_hooks: object,
) -> StoredTensor:
    """View a storage as a tensor; `offset` and `strides` count numbers, not bytes."""
    if len(shape) > MAX_DIMENSIONS or any(
        type(number) is not int or number < 0 for number in (offset, *shape, *strides)
    ):
        raise ModelError("a tensor in it has no offset, shape and strides that can be")
    values = storage.values
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if (n_numbers := math.prod(shape)) > values.size or (n_numbers and last >= values.size):
        raise ModelError(f"a tensor of shape {shape} reaches beyond its storage of {values.size} numbers")
    byte_strides = [stride * values.itemsize for stride in strides]
    view = np.ndarray(shape, values.dtype, buffer=values, offset=offset * values.itemsize, strides=byte_strides)
    return StoredTensor(view, storage.is_bfloat16)


def _rebuild_parameter(tensor: StoredTensor, *_attributes: object) -> StoredTensor:
    return tensor


_NAMES: Final[Mapping[str, Any]] = {
    "collections OrderedDict": _ordered_dict,
    "torch._utils _rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils _rebuild_parameter": _rebuild_parameter,
    "torch._utils _rebuild_parameter_with_state": _rebuild_parameter,
    "torch DoubleStorage": StorageType("<f8"),
    "torch FloatStorage": StorageType("<f4"),
    "torch HalfStorage": StorageType("<f2"),
    "torch BFloat16Storage": StorageType("<u2", is_bfloat16=True),
    "torch LongStorage": StorageType("<i8"),
    "torch IntStorage": StorageType("<i4"),
    "torch ShortStorage": StorageType("<i2"),
    "torch CharStorage": StorageType("i1"),
    "torch ByteStorage": StorageType("u1"),
    "torch BoolStorage": StorageType("?"),
}
