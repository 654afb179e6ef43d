"""The interpreter example: what is printed, how much of it comes back, and the files."""

import base64
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.examples.conftest import RunningApp, StartApp

KEPT = 64 * 1024


async def run(app: RunningApp, code: str) -> dict[str, Any]:
    answer = await app.call("run", {"code": code})
    assert answer["error"] is None
    return answer


class TestPrinting:
    async def test_stdout_and_stderr_come_back_apart(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            answer = await run(app, "import sys\nprint('out', end='')\nprint('err', file=sys.stderr)")
            assert (await run(app, "1"))["stdout"] == ""
        assert (answer["stdout"], answer["stderr"]) == ("out", "err\n")

    async def test_nothing_that_is_printed_goes_elsewhere(
        self, start_app: StartApp, capfd: pytest.CaptureFixture[str]
    ) -> None:
        code = (
            "import ctypes, os, subprocess, sys\n"
            "print('python')\n"
            "subprocess.run(['echo', 'child'])\n"
            "sys.__stdout__ and print('again')\n"
            "os.write(1, b'descriptor\\n')\n"
            "sys.stdout.buffer.write(b'bytes\\n')\n"
            "ctypes.CDLL(None).puts(b'libc');"
        )
        async with start_app("interpreter") as app:
            answer = await run(app, code)
        assert answer["stdout"].split() == ["python", "child", "again", "descriptor", "bytes", "libc"]
        assert capfd.readouterr() == ("", "")

    async def test_what_was_fetched_takes_no_room_on_the_disk(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            await run(app, "import os\nos.system('seq 100000');")
            assert (await run(app, "os.system('echo next');"))["stdout"] == "next\n"
            file = app.instance._capture.stdout._file  # type: ignore[attr-defined]
            assert os.fstat(file.fileno()).st_size == len("next\n")

    async def test_output_of_other_code_of_the_process_is_not_taken(
        self, start_app: StartApp, capfd: pytest.CaptureFixture[str]
    ) -> None:
        async with start_app("interpreter") as app:
            await run(app, "print('mine')")
            sys.stdout.write("the worker's own\n")
            sys.stdout.flush()
            answer = await run(app, "1")
        assert answer["stdout"] == ""
        assert capfd.readouterr().out == "the worker's own\n"

    async def test_logging_that_was_set_up_once_is_still_taken_later(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            await run(app, "import logging\nlog = logging.getLogger('cells')\nlog.addHandler(logging.StreamHandler());")
            answer = await run(app, "log.warning('careful')")
        logging.getLogger("cells").handlers.clear()
        assert answer["stderr"] == "careful\n"

    @pytest.mark.parametrize(
        "code", ["sys.stdout.close()", "sys.stdout = None", "sys.stdout.detach();", "os.close(1)", "os.close(2)"]
    )
    async def test_code_that_breaks_its_stdout_has_it_again_in_the_next_call(
        self, start_app: StartApp, code: str
    ) -> None:
        async with start_app("interpreter") as app:
            await app.call("run", {"code": f"import os, sys\n{code}"})
            answer = await run(app, "print('back', flush=True)\nos.system('echo child')")
        assert answer["stdout"] == "back\nchild\n"

    async def test_what_is_not_unicode_is_escaped_or_replaced(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            answer = await run(app, "import os\nprint('\\ud800')\nos.write(1, b'\\xff');")
        assert answer["stdout"] == "\\ud800\n�"


class TestBounds:
    async def test_output_up_to_64_kib_is_whole(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            answer = await run(app, f"print('x' * {KEPT - 1})")
        assert answer["stdout"] == "x" * (KEPT - 1) + "\n"
        assert answer["stdout_cut"] == 0

    @pytest.mark.parametrize(
        "code",
        [
            "for n in range(100_000):\n    print(f'{n:07}')",
            "print('\\n'.join(f'{n:07}' for n in range(100_000)))",
            "import os\nos.system('seq -f %07g 0 99999');",
            "import os\nfor n in range(2000):\n    os.write(1, b''.join(b'%07d\\n' % (50 * n + i) for i in range(50)))",
        ],
    )
    async def test_of_more_output_the_beginning_and_the_end_are_kept(self, start_app: StartApp, code: str) -> None:
        async with start_app("interpreter") as app:
            answer = await run(app, code)
        before, note, after = answer["stdout"].partition(f"\n[... {800_000 - KEPT} bytes cut ...]\n")
        assert answer["stdout_cut"] == 800_000 - KEPT
        assert note
        assert before.startswith("0000000\n0000001\n")
        assert after.endswith("0099998\n0099999\n")
        assert len(before) + len(after) == KEPT

    async def test_a_cut_splits_no_character(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            answer = await run(app, "print('a' + '€' * 100_000 + 'bb')")
        assert answer["stdout_cut"] > 0
        assert "�" not in answer["stdout"]
        assert set(answer["stdout"].partition("\n[")[0]) == {"a", "€"}

    @pytest.mark.parametrize(
        ("code", "begin"),
        [
            ("'x' * 10**8", "'xxxx"),
            ("b'x' * 10**8", "b'xxxx"),
            ("list(range(5_000_000))", "[0, 1, 2, "),
            ("dict.fromkeys(range(1_000_000))", "{0: None, 1: None, "),
            ("x = [1]\nfor _ in range(200):\n    x = [x, x]\nx", "[[[[[[["),
            ("x = 1\nfor _ in range(100_000):\n    x = [x]\nx", "[[[[[[["),
            ("class Huge:\n    def __repr__(self):\n        return 'h' * 10**7\nHuge()", "hhhh"),
        ],
    )
    async def test_a_huge_value_has_a_bounded_repr(self, start_app: StartApp, code: str, begin: str) -> None:
        async with start_app("interpreter") as app:
            answer = await run(app, code)
            await run(app, "x = None")
        assert answer["result"].startswith(begin)
        assert len(answer["result"]) < KEPT + 100
        assert answer["result_json"] is None

    async def test_a_long_traceback_and_message_are_bounded(self, start_app: StartApp) -> None:
        code = "def f(n):\n    g(n)\ndef g(n):\n    f(n)  # " + "x" * 200 + "\nf(1)"
        async with start_app("interpreter") as app:
            deep = (await app.call("run", {"code": code}))["error"]
            long = (await app.call("run", {"code": "raise ValueError('x' * 10**7)"}))["error"]
        for text in (deep["traceback"], long["message"], long["traceback"]):
            assert KEPT < len(text) < KEPT + 100
            assert "bytes cut" in text


class TestFiles:
    async def test_new_and_changed_files_are_reported_with_their_size(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            made = await run(
                app, "import os, pathlib\nos.mkdir('d')\nfor n in 'ba':\n    pathlib.Path('d', n).write_text(n)"
            )
            changed = await run(app, "pathlib.Path('d/a').write_text('longer')\nos.remove('d/b')")
            assert (await run(app, "pathlib.Path('d/a').read_text()"))["files"] == []
        assert made["files"] == [{"path": "d/a", "size": 1}, {"path": "d/b", "size": 1}]
        assert changed["files"] == [{"path": "d/a", "size": 6}]

    async def test_a_file_that_the_caller_has_written_is_not_reported_as_the_codes(self, start_app: StartApp) -> None:
        async with start_app("interpreter") as app:
            written = await app.call("write_file", {"path": "new/in.csv", "text": "a,ż\n"})
            answer = await run(
                app,
                "open_file = open('new/in.csv', encoding='utf-8')\ntext = open_file.read()\nopen_file.close()\ntext",
            )
        assert written == {"path": "new/in.csv", "size": 5}
        assert (answer["result_json"], answer["files"]) == ("a,ż\n", [])

    async def test_hidden_files_links_and_caches_are_not_listed(self, start_app: StartApp, tmp_path: Path) -> None:
        async with start_app("interpreter") as app:
            for path in (".hidden", ".config/x", "__pycache__/x.pyc", "shown"):
                await app.call("write_file", {"path": path, "text": ""})
            (tmp_path / "link").symlink_to("/etc/hostname")
            listed = await app.call("list_files")
        assert listed == {"files": [{"path": "shown", "size": 0}], "truncated": False}

    async def test_a_long_list_of_files_is_cut(self, start_app: StartApp, tmp_path: Path) -> None:
        for number in range(1001):
            (tmp_path / f"{number:04}").touch()
        async with start_app("interpreter") as app:
            listed = await app.call("list_files")
        assert (len(listed["files"]), listed["truncated"]) == (1000, True)

    @pytest.mark.parametrize("content", [b"", b"text", "zażółć €".encode(), bytes(range(256)), b"\xe2\x82", b"ab\xff"])
    @pytest.mark.parametrize("step", [1, 2, 5, 1000])
    async def test_a_file_read_in_parts_is_what_was_written(
        self, start_app: StartApp, content: bytes, step: int
    ) -> None:
        parts: list[bytes] = []
        offset: int | None = 0
        async with start_app("interpreter") as app:
            await app.call("write_file", {"path": "f", "base64": base64.b64encode(content).decode()})
            while offset is not None:
                part = await app.call("read_file", {"path": "f", "offset": offset, "max_bytes": step})
                assert (part["text"] is None) != (part["base64"] is None)
                parts.append(base64.b64decode(part["base64"]) if part["text"] is None else part["text"].encode())
                assert part["size"] == len(content)
                assert part["next_offset"] is None or part["next_offset"] > offset
                offset = part["next_offset"]
        assert b"".join(parts) == content

    async def test_text_comes_as_text_and_bytes_as_base64(self, start_app: StartApp, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("żółw", encoding="utf-8")
        (tmp_path / "bytes").write_bytes(b"\xff\x00")
        async with start_app("interpreter") as app:
            text = await app.call("read_file", {"path": "text"})
            binary = await app.call("read_file", {"path": "bytes"})
            # A boundary inside of a character does not make text look like bytes.
            part = await app.call("read_file", {"path": "text", "max_bytes": 3})
        assert (text["text"], binary["text"], binary["base64"]) == ("żółw", None, "/wA=")
        assert (part["text"], part["next_offset"]) == ("ż", 2)

    @pytest.mark.parametrize("path", ["../out", "/etc/hostname", "link", "a\0b"])
    async def test_a_path_that_leads_out_is_refused(self, start_app: StartApp, tmp_path: Path, path: str) -> None:
        (tmp_path / "link").symlink_to("/etc/hostname")
        async with start_app("interpreter") as app:
            with pytest.raises(ValueError, match="not a path inside"):
                await app.call("read_file", {"path": path})
            with pytest.raises(ValueError, match="not a path inside"):
                await app.call("write_file", {"path": path, "text": ""})

    @pytest.mark.parametrize("path", ["missing", "."])
    async def test_a_missing_file_or_a_directory_cannot_be_read(self, start_app: StartApp, path: str) -> None:
        async with start_app("interpreter") as app:
            with pytest.raises(FileNotFoundError, match="no such file"):
                await app.call("read_file", {"path": path})
