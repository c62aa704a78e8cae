import pytest

from pipeline.core.errors import MAX_LENGTH, MAX_PART_LENGTH, explain, one_line, shorten


def test_what_a_library_says_becomes_one_line():
    assert one_line(ValueError("first\n\tsecond\r\n\n  third ")) == "first second third"


@pytest.mark.parametrize("fault", [MemoryError(), ValueError(" \n")])
def test_a_fault_without_words_is_called_by_its_type(fault):
    assert one_line(fault) == type(fault).__name__


def test_what_a_library_says_is_cut_where_it_has_no_end():
    assert one_line(OSError("x" * MAX_LENGTH)) == "x" * MAX_LENGTH
    line = one_line(OSError("y" * 300_000))
    assert line == "y" * (MAX_LENGTH - 1) + "…"


@pytest.mark.parametrize("part", ["subject", "expected", "found"])
def test_no_part_of_a_message_makes_it_long(part):
    parts = {"subject": "file", "expected": "one", "found": "two", part: "z" * 300_000}
    message = explain(parts["subject"], expected=parts["expected"], found=parts["found"], remedy="mend it")
    assert message.count("z") == MAX_PART_LENGTH - 1
    assert "z…" in message
    assert message.endswith("; mend it")


def test_a_message_of_usual_length_is_whole():
    listed = ", ".join(f"video{number:05d} (damaged: 3 of 250 frames)" for number in range(40))
    assert explain("visual", expected="none", found=listed, remedy="mend") == (
        f"visual: expected none, found {listed}; mend"
    )


def test_a_quoted_text_is_short_and_shows_its_control_characters():
    assert shorten("a\nb\x1b") == r"'a\nb\x1b'"
    assert shorten("x" * 61) == repr("x" * 60) + "…"
