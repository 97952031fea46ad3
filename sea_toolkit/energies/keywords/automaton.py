"""Words in a text of uncertain tokens: the probability that one occurs, by an automaton that reads the tokens' bytes.

A text is read byte by byte, whatever its tokens are, by a machine with few states: outside of a word, inside of one, or
so far into one of the wanted spellings. A token leads from each state to one other, so a position with token
probabilities p_t is a matrix of transition probabilities, linear in p_t, and the product over the positions gives the
probability that the word has occurred (after Zhang et al. 2023, arXiv 2304.07438). It is exact for tokens drawn
independently, and for a text it is 0 or 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Active = frozenset[bytes]
State = tuple[Active, bool, bytes]
"""Spellings begun since a boundary (what of them was read), whether the last character belongs to a word, and the bytes
of a character that may turn out to be punctuation."""

FOUND, ENDED, FIRST_READING = 0, 1, 2
"""Two absorbing states (the word has occurred; the text has ended without it), and the first reading state."""

_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_")


def word_byte(byte: int) -> bool:
    """Whether a byte belongs to a word: ASCII letters, digits, `_`, and all of non-ASCII characters."""
    return byte in _WORD or byte >= 0x80


class Machine:
    """Finds whole words, in any of their spellings, whatever their case in ASCII.

    A word is found where a spelling stands between boundaries: the ends of the text and characters that belong to no
    word. Those are the ASCII characters other than letters, digits and `_`, and the typographic ones from U+2000 to
    U+203F (quotation marks, dashes, the ellipsis).

    Args:
        spellings: what counts as the word; at least one, none of them empty.
    """

    def __init__(self, spellings: Iterable[str]) -> None:
        self.spellings = {s.encode().lower() for s in spellings}
        self._begun = {s[:i] for s in self.spellings for i in range(1, len(s) + 1)}
        self._start: State = (frozenset(), False, b"")
        self.states: dict[State, int] = {self._start: FIRST_READING}
        self.start, self.table = FIRST_READING, self._explore()
        self.closing = np.array([FOUND, ENDED, *(FOUND if self._closes(s) else ENDED for s in self.states)])

    def finds(self, text: str) -> bool:
        """Whether the word is in the text."""
        state = self.start
        for byte in text.encode():
            state = self.table[state, byte]
        return bool(self.closing[state] == FOUND)

    def _explore(self) -> np.ndarray:
        """`[states, 256]`, the state after each byte."""
        alike = self._alike()
        rows, waiting = [[FOUND] * 256, [ENDED] * 256], [self._start]
        for state in waiting:
            number = {}
            for byte in sorted(set(alike)):
                after = self._after(state, byte)
                if after is not None and after not in self.states:
                    self.states[after] = FIRST_READING + len(self.states)
                    waiting.append(after)
                number[byte] = FOUND if after is None else self.states[after]
            rows.append([number[byte] for byte in alike])
        return np.array(rows, dtype=np.int32)

    def _alike(self) -> list[int]:
        """A representative for each byte: bytes that occur in no spelling are equivalent within a class."""
        own, first = {*b"".join(self.spellings), 0x80, 0xE2}, dict[tuple[bool, int], int]()
        low = [byte + 32 if 65 <= byte <= 90 else byte for byte in range(256)]
        return [byte if byte in own else first.setdefault((byte in _WORD, byte >> 6), byte) for byte in low]

    def _closes(self, state: State) -> bool:
        active, _, held = state
        return not held and any(a in self.spellings for a in active)

    def _after(self, state: State, byte: int) -> State | None:
        """The state after one byte more, or None where the word is found."""
        active, inside, held = state
        byte = byte + 32 if 65 <= byte <= 90 else byte
        if held == b"\xe2" and byte == 0x80:
            return self._hold(active, inside, b"\xe2\x80")
        if held == b"\xe2\x80" and 0x80 <= byte <= 0xBF:
            return self._read(active, inside, held + bytes([byte]), belongs=False)
        for old in held:  # the bytes held back were not punctuation
            following = self._read(active, inside, bytes([old]), belongs=True)
            assert following is not None
            active, inside, _ = following
        if byte == 0xE2:
            return self._hold(active, inside, b"\xe2")
        return self._read(active, inside, bytes([byte]), belongs=word_byte(byte))

    def _hold(self, active: Active, inside: bool, held: bytes) -> State:
        kept = (a for a in active if a in self.spellings or any(b.startswith(a + held) for b in self._begun))
        return frozenset(kept), inside, held

    def _read(self, active: Active, inside: bool, character: bytes, *, belongs: bool) -> State | None:
        if not belongs and any(a in self.spellings for a in active):
            return None
        begins = [b""] if not (inside and belongs) else []
        moved = frozenset(a + character for a in [*active, *begins] if a + character in self._begun)
        if not belongs and moved & self.spellings:  # a spelling such as c++ ends itself
            return None
        return moved, belongs, b""


@dataclass(frozen=True)
class Transitions:
    """A machine over tokens. Token v leads from state s to s' where, for some j, `sources[s, j]`, `targets[j] = s'` and
    `columns[v, j]`.

    Attributes:
        columns: `[V, M]`, sets of tokens.
        sources: `[S, M]`, from which states each leads.
        targets: `[M]`, to which state.
        start: the first state.
        closing: `[S]`, where the end of the text leads.
    """

    columns: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    start: int
    closing: np.ndarray


class Vocabulary:
    """The bytes of all tokens, in an order in which a machine reads them together."""

    def __init__(self, tokens: Sequence[bytes], eos_ids: Sequence[int]) -> None:
        lengths = np.array([len(t) for t in tokens])
        self.order = np.argsort(-lengths, kind="stable")
        self.eos_ids, self.size = list(eos_ids), len(tokens)
        self.steps: list[np.ndarray] = []  # the i-th byte of the tokens that have one, longest first
        for i in range(int(lengths.max(initial=0))):
            longer = self.order[: int((lengths > i).sum())]
            self.steps.append(np.array([tokens[v][i] for v in longer], dtype=np.int64))

    def after(self, machine: Machine) -> np.ndarray:
        """`[S, V]`, the state after each token."""
        count = len(machine.table)
        states = np.repeat(np.arange(count, dtype=np.int32)[:, None], self.size, 1)
        for step in self.steps:
            states[:, : len(step)] = machine.table[states[:, : len(step)], step]
        by_token = np.empty_like(states)
        by_token[:, self.order] = states
        for v in self.eos_ids:
            by_token[:, v] = machine.closing
        return by_token

    def transitions(self, machine: Machine) -> Transitions:
        """The machine over tokens; sources whose tokens to a target are the same share a column."""
        after = self.after(machine)
        groups: dict[tuple[int, bytes], list[int]] = {}
        for source in range(FIRST_READING, len(after)):
            for target in np.unique(after[source]).tolist():
                groups.setdefault((target, np.packbits(after[source] == target).tobytes()), []).append(source)
        columns = np.zeros((self.size, len(groups)), dtype=bool)
        sources = np.zeros((len(after), len(groups)), dtype=bool)
        for j, ((_, packed), members) in enumerate(groups.items()):
            columns[:, j] = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=self.size)
            sources[members, j] = True
        targets = np.array([target for target, _ in groups])
        return Transitions(columns, sources, targets, machine.start, machine.closing)
