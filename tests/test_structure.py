"""The counts of tools/structure.py, on small packages whose counts are known."""

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tools import structure
from tools.structure import counted


@pytest.fixture
def count(tmp_path):
    """Writes a package of these files and returns rule -> (count, places)."""

    def run(**files):
        root = tmp_path / "gesta"
        for name, source in {"__init__": "", **files}.items():
            path = root / (name.replace("__in__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(source), encoding="utf-8")
        return counted(root)

    return run


@pytest.mark.parametrize(
    "source",
    [
        "a = b.kind == 'pose'",
        "a = 'hands' != b",
        "a = b in ('clip', 'pose')",
        "a = 'features' in b",
        "a = isinstance(b, PoseManifest)",
        "a = isinstance(b, (int, recipes.SequenceRecipe))",
        "a = isinstance(b, Clip | HandFrame)",
        "a = type(b) is ImageRecipe",
        "a = is_for_poses(b)",
        "a = load._is_for_images(b)",
        "a = TABLE['classifier']",
        "a = TABLE.get('classifier')",
        "a = TABLE[b.manifest.kind]",
        "match a:\n    case 'pose':\n        pass",
        "match a:\n    case PoseManifest(x=1):\n        pass",
    ],
)
def test_branch_on_a_task_is_counted(count, source):
    number, places = count(module=source)["task-branches"]
    assert number == 1
    assert places[0].startswith("gesta/module.py:")


@pytest.mark.parametrize(
    "source",
    [
        "a = b == 'poser'",
        "a = b['features']",
        "a = {'features': 1, 'seed': 2}",
        "a = {'features': 1, 'hands': 3, 'seed': 2, 'b': 1, 'c': 2}",
        "a: Literal['pose'] = 'pose'",
        "refuse('pose')",
        "a = isinstance(b, Clip)",
        "a = TABLE[kind]",
        "a = b.kind == 'cut'",
    ],
)
def test_words_that_do_not_branch_are_not_counted(count, source):
    assert count(module=source)["task-branches"][0] == 0


def test_each_key_of_a_table_by_task_is_counted(count):
    assert count(module="A = {'classifier': f, 'pose': g, 'default': h}")["task-branches"][0] == 2
    assert count(module="A = {Manifest: f, PoseManifest: g}")["task-branches"][0] == 2


def test_names_and_classes_of_a_new_task_count_outside_tasks_only(count):
    inside = "class Net:\n    pass\nok = kind == 'captions'"
    found = count(
        tasks__in__captions__in__network=inside,
        tasks__in__captions__in____init__="",
        tasks__in__base="class Run:\n    pass",
        module="a = kind == 'captions'\nb = isinstance(c, Net)\nd = isinstance(c, Run)",
    )
    assert [place.split()[0] for place in found["task-branches"][1]] == ["gesta/module.py:1", "gesta/module.py:2"]


def test_circles_count_lazy_and_type_checking_imports(count):
    found = count(
        a="from gesta import b",
        b="def f():\n    import gesta.pack.c",
        pack__in____init__="",
        pack__in__c="if TYPE_CHECKING:\n    from ..a import x\nfrom . import d",
        pack__in__d="import os",
    )
    assert found["import-circles"][1] == [
        "3 modules: gesta.a, gesta.b, gesta.pack.c; gesta.a -> gesta.b -> gesta.pack.c -> gesta.a"
    ]
    assert found["package-circles"][0] == 1


def test_importing_from_ones_own_package_is_a_circle_only_if_it_imports_back(count):
    assert count(pack__in____init__="", pack__in__a="from gesta.pack import f")["import-circles"][0] == 0
    assert (
        count(pack__in____init__="from .a import f", pack__in__a="from gesta.pack import f")["import-circles"][0] == 1
    )


def test_two_separate_circles_are_two(count):
    files = {"a": "import gesta.b", "b": "import gesta.a", "c": "import gesta.d, gesta.a", "d": "import gesta.c"}
    assert count(**files)["import-circles"][0] == 2


def test_long_functions_count_from_def_to_the_last_line(count):
    sixty = "@decorator\ndef f():\n" + "    a = 1\n" * 59
    found = count(short=sixty, long=sixty + "    b = 2\n")
    assert found["long-functions"][1] == ["gesta/long.py:2  f  61 lines"]


def test_many_parameters_leave_out_self_commands_and_builders(count):
    nine = "a, b, c, d, e, f, g, *h, i"
    found = count(
        module=f"def f({nine}): pass\nclass A:\n    def g(self, a, b, c, d, e, f, g, h): pass",
        models__in__net=f"def build({nine}): pass",
        tasks__in__hands__in__network=f"def build({nine}): pass",
        cli__in__run=f"def command({nine}, j: Annotated[int, typer.Option('--j')]): pass\ndef helper({nine}): pass",
        cli__in__other=f"def command({nine}, j: JsonFlag = False): pass",
    )
    assert sorted(found["many-parameters"][1]) == [
        "gesta/cli/run.py:2  helper  9 parameters",
        "gesta/module.py:1  f  9 parameters",
    ]


SEVEN = """
    one = first(data, size=2)
    # a comment, and a blank line

    two = second(one[0], "text")
    three = {"a": one, "b": two}
    four = sum(x * 2 for x in three)
    five = [one, two, three, four]
    six = max(one, two) + min(three, four)
    seven = f"{one} of {two}"
"""


def test_near_duplicates_see_through_names_and_are_as_long_as_can_be(count):
    other = SEVEN.replace("one", "uno").replace("first", "erster").replace('"text"', "'Text'").replace("2", "3")
    found = count(a="def f(data):" + SEVEN, b="import os\n\ndef g(data, more):" + other + "    last = 1")
    assert found["near-duplicates"][1] == ["gesta/a.py:2-10 ~ gesta/b.py:4-12  7 lines"]


def test_five_lines_or_thin_ones_are_no_near_duplicate(count):
    five = "\n".join(SEVEN.splitlines()[:7])
    assert count(a="def f(data):" + five, b="def g(data, x):" + five)["near-duplicates"][0] == 0
    thin = "".join(f"    {name}: int\n" for name in "abcdefgh")
    assert count(c="class A:\n" + thin, d="class B:\n" + thin.replace("int", "str"))["near-duplicates"][0] == 0
    assert count(c="class A:\n" + thin, d="class B:\n" + thin)["near-duplicates"][0] == 1


def test_copies_in_one_file_pair_with_their_neighbors_and_many_are_too_common(count):
    copies = ["def f(data):" + SEVEN + f"a = {'(' * n}1{')' * n}\n" for n in range(9)]
    assert count(a="".join(copies[:3]))["near-duplicates"][0] == 2
    assert count(a="".join(copies))["near-duplicates"][0] == 0


def test_docstrings_and_imports_are_no_code(count):
    text = '"""\n' + "One line of text.\n" * 9 + '"""\n' + "from a import b\n" * 9
    found = count(a=text, b=text)
    assert found["near-duplicates"][0] == 0
    assert found["statements"][0] == 18


def test_statements_are_told_apart_by_package(count):
    found = count(a='"""Text."""\nx = 1', pack__in__b="def f():\n    '''Text.'''\n    return 1", web__in__c="x = 1")
    assert found["statements"] == (3, ["(root)  0", "+web  1", "a  1", "pack  2"])


def test_over_a_limit_fails_and_says_where_to_look(tmp_path, monkeypatch, capsys):
    root = tmp_path / "gesta"
    root.mkdir()
    (root / "__init__.py").write_text("a = b == 'pose'\n")
    monkeypatch.setitem(structure.LIMITS, "task-branches", (1, 0))
    assert structure.main(["--root", str(root)]) == 0
    monkeypatch.setitem(structure.LIMITS, "task-branches", (0, 0))
    assert structure.main(["--root", str(root)]) == 1
    assert "task-branches: 1, the limit is 0." in capsys.readouterr().out
    assert structure.main(["--root", str(root), "--list", "task-branches"]) == 1
    assert capsys.readouterr().out == "gesta/__init__.py:1  b == 'pose'\n"
    assert structure.main(["--root", str(root), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["task-branches"]["count"] == 1


def test_a_folder_without_a_package_is_wrong_usage(tmp_path):
    command = [sys.executable, "-m", "tools.structure", "--root", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    assert done.returncode == 2
    assert "is not a package" in done.stderr
