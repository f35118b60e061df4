"""Tells programs and libraries that a machine executes, by how they begin."""

from typing import Final

__all__ = ["is_program"]

_ELF: Final = b"\x7fELF"
_MACH_O: Final = (b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe")
#: Of a Mach-O file for several processors. Java's classes begin so, too; in place of the number they have a version.
_FAT: Final = b"\xca\xfe\xba\xbe"
_MOST_PROCESSORS: Final = 32
_DOS: Final = b"MZ"
#: What runs on several systems at once begins with it: https://justine.lol/ape.html
_PORTABLE: Final = (b"MZqFpD=", b"jartsr=")
_PE_AT: Final = slice(0x3C, 0x40)
_PE: Final = b"PE\0\0"


def is_program(head: bytes) -> bool:
    """Whether a file that begins like this is a program or a library: give its first 4 KiB."""
    if head.startswith((_ELF, *_MACH_O, *_PORTABLE)):
        return True
    if head.startswith(_FAT):
        return 0 < int.from_bytes(head[4:8], "big") <= _MOST_PROCESSORS
    place = int.from_bytes(head[_PE_AT], "little")
    return head.startswith(_DOS) and head[place : place + len(_PE)] == _PE
