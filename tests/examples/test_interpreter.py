"""The interpreter example: what code does, what stays, and how it fails."""

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import pydantic
import pytest

from gateway.testing.descriptors import descriptors, none_left
from tests.examples.conftest import RunningApp, StartApp


async def run(app: RunningApp, code: str, **more: Any) -> dict[str, Any]:
    return await app.call("run", {"code": code, **more})


class TestState:
    async def test_variables_imports_and_functions_are_there_in_the_next_call(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            await run(app, "import math\nradius = 2\ndef area(r):\n    return math.pi * r ** 2")
            answer = await run(app, "round(area(radius), 3)")
        assert (answer["cell"], answer["result"], answer["result_json"]) == (2, "12.566", 12.566)

    async def test_what_ran_before_an_exception_stays(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            assert (await run(app, "kept = 1\n1 / 0\nlost = 2"))["error"]["type"] == "ZeroDivisionError"
            assert (await run(app, "kept, 'lost' in globals()"))["result"] == "(1, False)"

    async def test_two_instances_share_nothing(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as first, start_app("interpreter") as second:
            await run(first, "x = 1")
            assert (await run(second, "x"))["error"]["type"] == "NameError"

    async def test_a_module_that_code_has_written_can_be_imported(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            await app.call("write_file", {"path": "helpers_of_mine.py", "text": "def double(n):\n    return n * 2"})
            answer = await run(app, "import helpers_of_mine\nhelpers_of_mine.double(4)")
            failed = await run(app, "helpers_of_mine.double(None)")
            await run(app, "import sys\ndel sys.modules['helpers_of_mine']")
        assert answer["result_json"] == 8
        assert "return n * 2" in failed["error"]["traceback"]

    async def test_code_is_the_main_module(self, start_app: StartApp) -> None:
        code = "import pickle\nclass Own:\n    pass\n(__name__, type(pickle.loads(pickle.dumps(Own()))) is Own)"
        async with start_app("interpreter") as app:
            assert (await run(app, code))["result"] == "('__main__', True)"

    async def test_the_process_is_left_as_it_was(self, start_app: StartApp) -> None:
        def surroundings() -> list[object]:
            streams = [Path(f"/proc/self/fd/{descriptor}").readlink() for descriptor in (0, 1, 2)]
            return [sys.modules["__main__"], sys.argv, sys.stdout, sys.stderr, dict(os.environ), sys.path[:], streams]

        before, files = surroundings(), descriptors()
        async with start_app("interpreter") as app:
            await run(app, "import sys, os\nsys.argv.append('x')\nos.environ['X'] = '1'\nsys.stdout = None")
        assert surroundings() == before
        await none_left(files)


class TestResults:
    @pytest.mark.parametrize(
        ("code", "result", "json"),
        [
            ("6 * 7", "42", 42),
            ("2**53 + 1", "9007199254740993", 2**53 + 1),
            ("10**40", str(10**40), 10**40),
            ("'żółw'", "'żółw'", "żółw"),
            ("{'a': [1, 2.5, None, True]}", "{'a': [1, 2.5, None, True]}", {"a": [1, 2.5, None, True]}),
            ("(1,)", "(1,)", None),
            ("(), [], {}, set(), frozenset()", "((), [], {}, set(), frozenset())", None),
            ("[{1}, frozenset({2}), b'x', {3: (4, 5)}]", "[{1}, frozenset({2}), b'x', {3: (4, 5)}]", None),
            ("{1: 2}", "{1: 2}", None),
            ("float('nan')", "nan", None),
            ("[float('inf')]", "[inf]", None),
            ("a = []\na.append(a)\na", "[[...]]", None),
            ("d = {}\nd['d'] = d\nd", "{'d': {...}}", None),
            ("'\\ud800'", "'\\ud800'", None),
            ("10**5000", "<int: repr() raised ValueError>", None),
            ("None", None, None),
            ("x = 5", None, None),
            ("5;", None, None),
            ("", None, None),
            ("# nothing", None, None),
        ],
    )
    async def test_the_last_expressions_value_is_the_result(
        self, start_app: StartApp, code: str, result: str | None, json: Any
    ) -> None:
        async with start_app("interpreter") as app:
            answer = await run(app, code)
        assert answer["error"] is None
        assert (answer["result"], answer["result_json"]) == (result, json)

    async def test_the_class_of_the_result_is_named(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            assert (await run(app, "import decimal\ndecimal.Decimal(1)"))["result_type"] == "decimal.Decimal"
            assert (await run(app, "class Own: pass\nOwn()"))["result_type"] == "Own"

    @pytest.mark.parametrize(
        ("body", "result"),
        [
            ("raise SystemExit", "<Broken: repr() raised SystemExit>"),
            ("1 / 0", "<Broken: repr() raised ZeroDivisionError>"),
            ("return 5", "<Broken: repr() raised TypeError>"),
            ("return repr(self)", "<Broken: repr() raised RecursionError>"),
        ],
    )
    async def test_a_broken_repr_is_told_and_the_value_stays(self, start_app: StartApp, body: str, result: str) -> None:
        async with start_app("interpreter") as app:
            answer = await run(app, f"class Broken:\n    def __repr__(self):\n        {body}\nb = Broken()\nb")
            inside = await run(app, "[1, b]")
            assert (await run(app, "b is not None"))["result_json"] is True
        assert (answer["error"], answer["result"]) == (None, result)
        assert inside["result"] == f"[1, {result}]"

    async def test_await_works_at_the_top_level_and_connections_outlive_the_call(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            await run(app, "import asyncio\nqueue = asyncio.Queue()\nawait queue.put(3)")
            answer = await run(app, "got = await queue.get()\nawait asyncio.sleep(0, got)")
        assert answer["result_json"] == 3

    async def test_asyncio_run_works_and_so_does_await_after_it(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            code = "import asyncio\nasync def main():\n    return 5\nasyncio.run(main())"
            assert (await run(app, code))["result_json"] == 5
            assert (await run(app, "await main()"))["result_json"] == 5
            assert (await run(app, "asyncio.get_event_loop().run_until_complete(main())"))["result_json"] == 5

    async def test_tasks_go_on_in_later_calls_and_are_cancelled_at_the_end(
        self, start_app: StartApp, tmp_path: Path
    ) -> None:
        code = (
            "import asyncio, pathlib\nresult, go_on = [], asyncio.Event()\nasync def work():\n"
            "    await go_on.wait()\n    result.append(1)\n"
            "    try:\n        await asyncio.Event().wait()\n"
            "    finally:\n        pathlib.Path('end').touch()\n"
            "task = asyncio.create_task(work())\nawait asyncio.sleep(0)"
        )
        async with start_app("interpreter") as app:
            await run(app, code)
            assert (await run(app, "go_on.set()\nresult"))["result_json"] == []
            assert (await run(app, "await asyncio.sleep(0.01)\nresult"))["result_json"] == [1]
            assert not (tmp_path / "end").exists()
        assert (tmp_path / "end").exists()

    async def test_a_call_that_another_task_has_broken_off_does_not_go_on_later(self, start_app: StartApp) -> None:
        code = (
            "import asyncio\nasync def leave():\n    raise SystemExit\n"
            "task = asyncio.create_task(leave())\nawait asyncio.Event().wait()"
        )
        async with start_app("interpreter") as app:
            assert (await run(app, code))["error"]["type"] == "SystemExit"
            answer = await run(app, "await asyncio.sleep(0.01)\nlen(asyncio.all_tasks())")
        assert answer["result_json"] == 1


class TestExceptions:
    async def test_an_exception_is_an_answer_with_the_frames_of_user_code_only(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            await run(app, "import json\ndef parse(text):\n    return json.loads(text)")
            error = (await run(app, "parse('{')"))["error"]
        assert error["type"] == "json.decoder.JSONDecodeError"
        assert error["message"].startswith("Expecting property name")
        lines = error["traceback"].splitlines()
        assert [line for line in lines if line.startswith("  File")] == [
            '  File "<cell 2>", line 1, in <module>',
            '  File "<cell 1>", line 3, in parse',
        ]
        assert "    return json.loads(text)" in lines

    async def test_causes_are_shown_with_their_own_frames(self, start_app: StartApp) -> None:
        code = "try:\n    import json; json.loads('{')\nexcept Exception as error:\n    raise KeyError('k') from error"
        async with start_app("interpreter") as app:
            traceback = (await run(app, code))["error"]["traceback"]
        assert "JSONDecodeError" in traceback
        assert "direct cause" in traceback
        assert traceback.count("  File ") == traceback.count('  File "<cell 1>"') == 2

    async def test_the_exceptions_of_a_group_are_shown_with_their_own_frames(self, start_app: StartApp) -> None:
        code = (
            "import json\ntry:\n    json.loads('{')\nexcept Exception as error:\n    caught = error\n"
            "caught.__context__ = None\nraise ExceptionGroup('all', [caught])"
        )
        async with start_app("interpreter") as app:
            traceback = (await run(app, code))["error"]["traceback"]
        assert traceback.count('File "') == traceback.count('File "<cell 1>"') == 2

    @pytest.mark.parametrize(
        ("code", "type", "message"),
        [
            ("raise SystemExit(3)", "SystemExit", "3"),
            ("import sys\nsys.exit('bye')", "SystemExit", "bye"),
            ("exit()", "SystemExit", "None"),
            ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
            ("raise GeneratorExit", "GeneratorExit", ""),
            ("import asyncio\nraise asyncio.CancelledError", "asyncio.exceptions.CancelledError", ""),
            ("async def f():\n    raise SystemExit(4)\nawait f()", "SystemExit", "4"),
            ("import asyncio\nasync def f():\n    raise SystemExit(5)\nawait asyncio.gather(f())", "SystemExit", "5"),
            ("import asyncio\nasync def f():\n    raise SystemExit(6)\nasyncio.run(f())", "SystemExit", "6"),
            ("def f(:", "SyntaxError", "invalid syntax (<cell 1>, line 1)"),
            ("def f(n):\n    f(n)\nf(1)", "RecursionError", "maximum recursion depth exceeded"),
            ("input()", "EOFError", "EOF when reading a line"),
            ("raise Exception('\\ud800')", "Exception", "\\ud800"),
            ("raise ExceptionGroup('two', [OSError(1), KeyError(2)])", "ExceptionGroup", "two (2 sub-exceptions)"),
        ],
    )
    async def test_nothing_that_code_raises_ends_the_session(
        self, start_app: StartApp, code: str, type: str, message: str
    ) -> None:
        async with start_app("interpreter") as app:
            error = (await run(app, code))["error"]
            assert (await run(app, "1 + 1"))["result_json"] == 2
        assert (error["type"], error["message"]) == (type, message)
        assert type.rpartition(".")[2] in error["traceback"]

    async def test_code_that_is_no_text_for_python_is_a_syntax_or_value_error(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            null = (await run(app, "a = 1\n\0"))["error"]
            nested = (await run(app, "(" * 1000 + ")" * 1000))["error"]
        assert null["type"] in {"SyntaxError", "ValueError"}
        assert "null bytes" in null["message"]
        assert "nested" in nested["message"]

    async def test_an_exception_whose_text_is_broken_is_described_without_it(self, start_app: StartApp) -> None:
        code = "class Broken(Exception):\n    def __str__(self):\n        raise SystemExit\nraise Broken"
        async with start_app("interpreter") as app:
            error = (await run(app, code))["error"]
        assert (error["type"], error["message"]) == ("Broken", "<Broken: str() raised SystemExit>")


class TestInput:
    @pytest.mark.parametrize(
        ("function", "input", "field"),
        [
            ("run", {}, ("code",)),
            ("run", {"code": 1}, ("code",)),
            ("run", {"code": "", "timeout_seconds": 0}, ("timeout_seconds",)),
            ("run", {"code": "", "timeout": 1}, ("timeout",)),
            ("read_file", {"path": ""}, ("path",)),
            ("read_file", {"path": "a", "max_bytes": 0}, ("max_bytes",)),
            ("write_file", {"path": "a"}, ()),
            ("write_file", {"path": "a", "text": "b", "base64": ""}, ()),
            ("write_file", {"path": "a", "base64": "?"}, ()),
        ],
    )
    async def test_a_wrong_input_is_refused_by_the_name_of_its_field(
        self, start_app: StartApp, function: str, input: dict[str, Any], field: tuple[str, ...]
    ) -> None:
        async with start_app("interpreter") as app:
            with pytest.raises(pydantic.ValidationError) as refused:
                await app.call(function, input)
        assert refused.value.errors()[0]["loc"] == field


class TestFigures:
    async def test_open_figures_are_saved_once_each(self, start_app: StartApp, monkeypatch: pytest.MonkeyPatch) -> None:
        # With a display matplotlib would choose a window, or warn that there is none.
        monkeypatch.setenv("DISPLAY", ":99")
        pytest.importorskip("matplotlib", reason="matplotlib (dependency group `examples`) is not installed")
        plot = (
            "import matplotlib\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nmatplotlib.get_backend()"
        )
        backend = "import os\nos.environ['MPLBACKEND']"
        with warnings.catch_warnings(record=True) as warned:
            async with start_app("interpreter") as app:
                first = await run(app, plot)
                assert (await run(app, "1"))["files"] == []
                two = await run(app, "figure, axes = plt.subplots()\nplt.figure();")
                picture = await app.call("read_file", {"path": "figure-1.png"})
                assert (await run(app, backend))["result_json"] == "Agg"
        assert warned == []
        assert first["error"] is None
        assert (first["stderr"], first["result_json"]) == ("", "agg")
        assert [file["path"] for file in first["files"]] == ["figure-1.png"]
        assert [file["path"] for file in two["files"]] == ["figure-2.png", "figure-3.png"]
        assert picture["base64"].startswith("iVBORw0KGgo")

    async def test_a_figure_that_cannot_be_drawn_is_told_on_stderr(self, start_app: StartApp) -> None:
        pytest.importorskip("matplotlib", reason="matplotlib (dependency group `examples`) is not installed")
        async with start_app("interpreter") as app:
            answer = await run(app, "import matplotlib.pyplot as plt\nplt.title('$\\\\frac{$')\n7")
            assert (await run(app, "plt.get_fignums()"))["result_json"] == []
        assert "a figure could not be saved: ValueError" in answer["stderr"]
        assert answer["result_json"] == 7
