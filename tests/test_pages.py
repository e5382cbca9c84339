"""How pages of documentation are read, and when what is printed counts as what is shown."""

import pytest

from support.pages import Step, alike, blocks, steps

PAGE = """
Text with `code`.

<!-- recorded: tour -->

```console
$ first --option \\
    more
one
two

$ second
```

```yaml title="my.yaml"
name: x
```

<!-- not run: it would take an hour -->
```sh
third
```
"""


def test_blocks_come_with_their_kind_file_mark_and_line():
    console, scenario, shell = blocks(PAGE)
    assert (console.kind, console.recorded, console.line) == ("console", "tour", 6)
    assert (scenario.kind, scenario.title, scenario.text) == ("yaml", "my.yaml", "name: x\n")
    assert (shell.not_run, shell.recorded) == ("it would take an hour", None)


def test_a_console_block_is_commands_and_what_they_print():
    first, second = steps(blocks(PAGE)[0])
    assert first == Step("first --option \\\n    more", ("one", "two"))
    assert first.command == "first --option     more"
    assert second == Step("second", ())


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (["a", "b"], ["a", "", "b "], True),
        (["a", "b"], ["a", "b", "c"], False),
        (["a"], [], False),
        (["a", "…", "d"], ["a", "b", "c", "d"], True),
        (["a", "…", "d"], ["a", "d"], True),
        (["…"], [], True),
        (["a", "…"], ["b", "a"], False),
        (["cut off…"], ["cut off…"], True),
        (["cut off…"], ["cut off and more"], False),
        (["done in 314 s"], ["done in 2.5 s"], True),
        (["314 rows"], ["2 rows"], False),
        (["a.c"], ["abc"], False),
    ],
)
def test_lines_are_alike_but_for_seconds_and_what_is_left_out(
    shown: list[str], printed: list[str], same: bool
):
    assert alike(shown, printed) is same
