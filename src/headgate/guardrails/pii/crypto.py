"""Addresses of crypto currencies by their checksums: Base58Check and Bech32 of Bitcoin, mixed case of Ethereum (EIP-55). Pure."""

from __future__ import annotations

import hashlib

_BASE58 = {
    character: value for value, character in enumerate("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")
}
_BECH32 = {character: value for value, character in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
_POLYNOMIAL = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_MASK = (1 << 64) - 1


def base58check(address: str) -> bool:
    """Old Bitcoin addresses (`1…`, `3…`): 21 bytes and 4 of a double SHA-256."""
    number = 0
    for character in address:
        number = number * 58 + _BASE58[character]
    if number >> 200:
        return False
    raw = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4] == raw[21:]


def bech32(address: str) -> bool:
    """Segwit addresses (`bc1…`, lower case): BCH code of BIP 173 or BIP 350."""
    prefix, _, rest = address.rpartition("1")
    values = [ord(character) >> 5 for character in prefix] + [0] + [ord(character) & 31 for character in prefix]
    values += [_BECH32[character] for character in rest]
    state = 1
    for value in values:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, part in enumerate(_POLYNOMIAL):
            if top >> bit & 1:
                state ^= part
    return state in (1, 0x2BC830A3)


def eip55(address: str) -> bool:
    """Ethereum addresses (`0x` and 40 hexadecimal digits) whose case is their checksum; those of one case carry none."""
    letters = address[2:]
    if letters in (letters.lower(), letters.upper()):
        return False
    digest = keccak256(letters.lower().encode()).hex()
    return all(
        not letter.isalpha() or letter.isupper() == (int(digit, 16) >= 8)
        for letter, digit in zip(letters, digest, strict=False)
    )


def keccak256(message: bytes) -> bytes:
    """Keccak with the padding it had before it became SHA-3, for messages shorter than a block of 136 bytes."""
    block = bytearray(message.ljust(136, b"\0"))
    block[len(message)] ^= 0x01
    block[135] ^= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for place in range(17):
        lanes[place % 5][place // 5] = int.from_bytes(block[place * 8 : place * 8 + 8], "little")
    feedback = 1
    for _ in range(24):
        lanes = _rotated(_diffused(lanes))
        lanes = [[lanes[x][y] ^ (~lanes[(x + 1) % 5][y] & lanes[(x + 2) % 5][y]) for y in range(5)] for x in range(5)]
        for bit in range(7):
            feedback = (feedback << 1 ^ (feedback >> 7) * 0x71) % 256
            if feedback & 2:
                lanes[0][0] ^= 1 << ((1 << bit) - 1)
    return b"".join(lanes[x][0].to_bytes(8, "little") for x in range(4))


def _diffused(lanes: list[list[int]]) -> list[list[int]]:
    column = [lane[0] ^ lane[1] ^ lane[2] ^ lane[3] ^ lane[4] for lane in lanes]
    mixed = [column[x - 1] ^ _left(column[(x + 1) % 5], 1) for x in range(5)]
    return [[lanes[x][y] ^ mixed[x] for y in range(5)] for x in range(5)]


def _rotated(lanes: list[list[int]]) -> list[list[int]]:
    x, y, current = 1, 0, lanes[1][0]
    for step in range(24):
        x, y = y, (2 * x + 3 * y) % 5
        current, lanes[x][y] = lanes[x][y], _left(current, (step + 1) * (step + 2) // 2)
    return lanes


def _left(value: int, by: int) -> int:
    by %= 64
    return (value << by | value >> (64 - by)) & _MASK if by else value
