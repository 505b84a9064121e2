"""What a person is asked about a report, and what each answer does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from interlock.errors import ActionRefused
from interlock.testing import RecordingLedger
from tests.graphs.harbour import Team, accepted

APPROVE = {"type": "approve"}


def edit(**arguments: str) -> dict[str, object]:
    """Return an edit of the action's arguments."""
    return {"type": "edit", "edited_action": {"name": "publish_report", "args": arguments}}


async def test_question_says_what_would_be_published_where(team: Team) -> None:
    """The question names act, arguments, evidence and the consequence of each answer."""
    await team.start(*team.happy())
    asked = await team.question()

    (request,) = asked["action_requests"]
    assert request["name"] == "publish_report"
    assert request["description"] == (
        "Publish “The lamps' reach” (1 section, 2 sentences), "
        "the answer to “How far do the harbour's lamps reach?”?"
    )
    assert set(request["args"]) == {"title", "folder", "report_sha256"}
    assert request["args"]["title"] == "The lamps' reach"
    assert request["args"]["folder"] == str(team.output)
    assert asked["question"]["evidence"] == [
        "2 quotations cited, each found verbatim in its source",
        "2 of 2 criteria met",
        "written by scripted:model; tokens and cost were not counted",
    ]
    assert set(asked["question"]["consequences"]) == {"approve", "edit", "reject", "respond"}


async def test_folder_without_a_name_is_told_as_an_absolute_path(
    team: Team, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who approves sees where the report goes, wherever the run is resumed."""
    monkeypatch.chdir(tmp_path)
    await team.start(*team.happy(), output="out")
    monkeypatch.chdir("/")
    output = await team.answer(APPROVE)

    assert Path(output["published"]["markdown"]).parent == tmp_path / "out"


async def test_edited_report_goes_where_the_person_says(team: Team, tmp_path: Path) -> None:
    """Title and folder are the approver's to change; the content is not."""
    await team.start(*team.happy())
    folder = tmp_path / "other" / "place"
    output = await team.answer(edit(title="Two lamps", folder=str(folder)))

    markdown = Path(output["published"]["markdown"])
    sha256 = output["published"]["sha256"]
    assert markdown == folder / f"two-lamps-{sha256[:8]}.md"
    assert "# Two lamps" in markdown.read_text()
    assert not team.output.exists()


async def test_edit_of_the_content_is_refused(team: Team) -> None:
    """An approval is of this report: its digest may not be edited, and the question stays open."""
    await team.start(*team.happy())
    with pytest.raises(ValidationError, match="report_sha256 may not be changed here"):
        await team.answer(edit(report_sha256="0" * 64))

    assert (await team.state()).next == ("approve",)
    assert (team.ledger.begun, team.output.exists()) == ([], False)


@pytest.mark.parametrize("key", ["title", "folder"])
async def test_edit_to_nothing_is_refused(team: Team, key: str) -> None:
    """A report has a title and a place; the question stays open."""
    await team.start(*team.happy())
    with pytest.raises(ValidationError, match=f"{key}: it is empty"):
        await team.answer(edit(**{key: " "}))

    assert (await team.state()).next == ("approve",)
    assert (team.ledger.begun, team.output.exists()) == ([], False)


async def test_report_that_changed_after_its_approval_is_not_published(team: Team) -> None:
    """Whatever changed the state in between, what is published is what was approved."""
    await team.start(*team.happy())
    asked = (await team.question())["action_requests"][0]["args"]
    other = {**asked, "report_sha256": "0" * 64}
    approval = {"type": "approve", "arguments": other, "message": "", "by": "mallory"}
    await team.graph.aupdate_state(team.config, {"approval": approval}, as_node="approve")
    with pytest.raises(ActionRefused, match="the report is not the one that was approved"):
        await team.graph.ainvoke(None, team.config, context=team.context)

    assert (team.ledger.begun, team.output.exists()) == ([], False)


@pytest.mark.parametrize("kind", ["reject", "respond"])
async def test_wish_goes_to_the_writer_and_the_report_is_asked_about_again(
    team: Team, kind: str
) -> None:
    """The writer gets the person's words, and the next question is about the new report."""
    await team.start(*team.happy())
    before = await team.question()
    await team.answer(
        {"type": kind, "message": "South first."}, team.good_report("Better"), accepted()
    )

    after = await team.question()
    assert "person: South first." in team.model.prompts("Report")[1]
    assert (await team.state()).next == ("approve",)
    assert after["question"]["digest"] != before["question"]["digest"]
    assert after["action_requests"][0]["args"]["title"] == "Better"
    assert team.ledger.begun == []
    team.model.assert_done()


async def test_wish_stays_while_the_verifier_sends_the_writer_back(team: Team) -> None:
    """A writer that mends a number still knows what the person wanted."""
    await team.start(*team.happy())
    wrong = team.report(team.says("north", "The north lamp reaches 81 miles."))
    await team.answer(
        {"type": "reject", "message": "Only the north."},
        wrong,
        team.report(team.says("north")),
        accepted(),
    )

    mended = team.model.prompts("Report")[2]
    assert "person: Only the north." in mended
    assert "verifier: " in mended
    team.model.assert_done()


async def test_revised_report_is_published_after_approval(team: Team) -> None:
    """What is published is the report that was approved in the end."""
    await team.start(*team.happy())
    await team.answer(
        {"type": "reject", "message": "A better title."}, team.good_report("Better"), accepted()
    )
    output = await team.answer(APPROVE)

    assert Path(output["published"]["markdown"]).name.startswith("better-")
    assert team.ledger.done == ["publish_report"]


async def test_rejection_without_a_reason_ends_the_run(team: Team) -> None:
    """Nobody guesses what to change, and nothing is published."""
    await team.start(*team.happy())
    output = await team.answer({"type": "reject"})

    assert output["status"] == "rejected"
    assert output["message"] == "Rejected by Ada without a reason; nothing was published."
    assert ((await team.state()).next, team.ledger.begun) == ((), [])


async def test_answer_to_another_question_is_refused(team: Team) -> None:
    """An answer that names an old question does not decide the new one."""
    await team.start(*team.happy())
    old = (await team.question())["question"]["digest"]
    await team.answer(
        {"type": "reject", "message": "Better title."}, team.good_report("Better"), accepted()
    )
    with pytest.raises(ValidationError, match="it answers question"):
        await team.answer(APPROVE, digest=old)

    assert (await team.state()).next == ("approve",)
    assert team.ledger.begun == []


class CrashingLedger(RecordingLedger):
    """A ledger after whose record the step fails once, and the files are gone."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    async def finish(self, key: str, attempt: int, result: Any) -> None:  # JSON
        await super().finish(key, attempt, result)
        if "publish_report" not in self.done:
            return
        for file in self._folder.iterdir():
            file.unlink()
        raise ConnectionError("the connection broke right after the record")


async def test_published_files_are_not_written_twice(team: Team) -> None:
    """A step that fails after its act uses the ledger's record when it runs again."""
    team.ledger = CrashingLedger(team.output)
    await team.start(*team.happy())
    output = await team.answer(APPROVE)

    assert output["status"] == "published"
    assert team.ledger.done == ["publish_report"]
    assert list(team.output.iterdir()) == []


async def test_folder_that_cannot_be_written_is_an_error_that_can_be_mended(team: Team) -> None:
    """The error says what is in the way; resumed without it, the run ends well."""
    team.output.write_text("I am a file.")
    await team.start(*team.happy())
    with pytest.raises(ActionRefused, match=r"The report cannot be written to .*reports"):
        await team.answer(APPROVE)
    team.output.unlink()
    output = await team.go_on()

    assert output["status"] == "published"
    assert Path(output["published"]["html"]).exists()
