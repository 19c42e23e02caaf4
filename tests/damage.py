"""Damage as disks and memory do it."""

from pathlib import Path


def flip_a_bit(path: Path) -> None:
    """Flip one bit in the middle of a file. Its dates change, as with any write."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
