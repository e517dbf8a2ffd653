import doctest

from tunesmith.core import hidden as module
from tunesmith.core.hidden import hidden

# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt: first and last of each range
IGNORABLE = (
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip


def test_what_is_hidden_is_as_its_examples_say():
    assert doctest.testmod(module).failed == 0


def test_no_character_that_fonts_ignore_passes_for_one_that_is_seen():
    assert [hex(n) for first, last in IGNORABLE for n in range(first, last + 1) if not hidden(chr(n))] == []
    assert [c for c in "aé שلم 日本 कि 👍 ❤ ⠇ \u00a0" if hidden(c)] == []
