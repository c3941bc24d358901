"""Broad questions: what this is, and how it is tested, run, built and installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from intercom_mux.agents.demo import broad
from intercom_mux.agents.demo.agent import Agent
from intercom_mux.agents.demo.search import Document
from tests.agents.demo.recording import RecordingIntercom, RecordingPane

EXAMPLE = Path(__file__).parents[3] / "examples" / "quickstart"


def answer(root: Path, question: str) -> str:
    pane = RecordingPane()
    intercom = RecordingIntercom()
    Agent("scout", "scout", pane, intercom.connect, root).handle(f"[intercom] from a · ask 1 · reply: …\n{question}")
    [(_, text)] = intercom.replied
    return text


def survey(*documents: Document) -> broad.Survey:
    seen = broad.Survey()
    list(seen.see(documents))
    return seen


@pytest.mark.parametrize(
    "question",
    [
        "what is this project?",
        "What does this repo do",
        "Give me an overview, please",
        "overview",
        "what is this?",
        "Explain the architecture of this service.",
        "How is this codebase structured?",
    ],
)
def test_a_question_for_the_whole_is_about(question: str) -> None:
    """It names nothing that a file could be searched for."""
    assert broad.topic(question) == broad.ABOUT


@pytest.mark.parametrize(
    ("question", "topic"),
    [
        ("how do I run the tests?", "test"),
        ("how to run the test suite locally", "test"),
        ("How do I run it?", "run"),
        ("How can I start the app?", "run"),
        ("how is this built?", None),
        ("How do I build this?", "build"),
        ("how do I install the dependencies", "install"),
        ("How does this repo structure token refresh retries?", None),
        ("how are the tests of the parser run?", None),
        ("Where are the tests?", None),
        ("handle", None),
        ("test", None),
        ("", None),
        ("?!", None),
    ],
)
def test_the_topic_of_a_question(question: str, topic: str | None) -> None:
    """A question that names something of the project is searched for, as ever."""
    assert broad.topic(question) == topic


def test_what_a_project_is_stands_in_its_readme_and_its_files() -> None:
    """The start of the README is quoted with its place, and each file named with its own first words."""
    text = answer(EXAMPLE / "auth-service", "what is this project?")
    assert text.startswith("What auth-service is, its README says:\n\nREADME.md:1-11\n   1  # auth-service\n")
    assert "8 files (6 .py, 2 .md):" in text
    assert "  auth_service/budget.py    How many retries the whole process may afford.\n" in text
    assert text.endswith("Read 8 files in auth-service. Ask about anything named here.")


def test_without_a_readme_the_manifest_or_the_files_tell() -> None:
    """Nothing is made up where nothing is said."""
    manifest = survey(Document("pyproject.toml", '[project]\ndescription = "A small clock"\n'))
    assert "has no README. Its manifest calls it: A small clock" in broad.about(manifest, "x", "1 file in x")
    bare = broad.about(survey(Document("a.c", "int main;\n")), "x", "1 file in x")
    assert "x has no README that would say what it is" in bare
    assert "  a.c\n" in bare
    assert broad.about(survey(), "x", "0 files in x") == "x has no text file that I read."


def test_a_large_project_is_told_by_directory() -> None:
    """The list stays short: directories with how much is in them, then what lies beside them."""
    files = [Document(f"src/m{n}.py", "") for n in range(30)] + [Document(f"f{n:02}.txt", "") for n in range(20)]
    text = broad.about(survey(*files), "x", "50 files in x")
    assert "50 files (30 .py, 20 .txt):\n  src/     30 files\n  f00.txt\n" in text
    assert "\n  … and 5 more\n" in text


def test_how_to_do_something_is_quoted_from_the_files() -> None:
    """What a README shows comes first, then what manifests declare; each with its place."""
    seen = survey(
        Document("README.md", "# x\n\nRun `make check` first.\n\n```sh\n$ npm install\npython -m x  # serves\n```\n"),
        Document("Makefile", "check: all\n\tpytest\n"),
        Document("package.json", '{\n  "scripts": {\n    "test": "jest",\n    "start": "node ."\n  }\n}\n'),
        Document("tests/test_a.py", "import pytest\n"),
    )
    told = broad.how(seen, "x", "test")
    assert told is not None
    assert "  make check    README.md:3\n  npm run test  package.json:3\n" in told
    assert "pytest" not in told, "a conclusion stood beside what is said"
    assert "  npm install  README.md:6\n" in str(broad.how(seen, "x", "install"))
    assert "  python -m x    README.md:7\n  npm run start  package.json:4\n" in str(broad.how(seen, "x", "run"))


def test_tests_without_any_word_about_them_are_concluded() -> None:
    """Test files tell how they are run when nothing else does."""
    assert "  python -m unittest  a/test_b.py" in str(
        broad.how(survey(Document("a/test_b.py", "import unittest\n")), "x", "test")
    )


def test_no_word_about_it_is_said_and_what_is_there() -> None:
    """A file that merely has the word `run` in it is no answer to how tests are run."""
    text = answer(EXAMPLE / "auth-service", "how do I run the tests?")
    assert text.startswith("Nothing here says how to run the tests. Searched 8 files in auth-service.\n\n8 files")
    assert "  python -m orders  README.md:5\n" in answer(EXAMPLE / "app", "how do I run it?")


def test_what_a_file_says_is_harmless() -> None:
    """No control character of a file reaches the answer."""
    seen = survey(
        Document("README.md", "# \x1b[31mred\n\n    make \x1b]0;x\x07test\n"), Document("b\x1b.py", "# \x07hi\n")
    )
    for text in (broad.about(seen, "x", "it"), str(broad.how(seen, "x", "test"))):
        assert not any(ord(character) < 0x20 and character != "\n" for character in text)


def test_an_attachment_is_what_a_broad_question_means(tmp_path: Path) -> None:
    """`What is this?` with something attached is about that."""
    (tmp_path / "README.md").write_text("# shop\n")
    agent = Agent("scout", "scout", RecordingPane(), RecordingIntercom().connect, tmp_path)
    assert "\nattachment:a:1-1\n" in agent._answer_from_files("what is this?", [Document("attachment:a", "this!")])
