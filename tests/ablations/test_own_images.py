"""What the user's folders are taken for: two meanings are refused, and what is left out is told everywhere."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from ablations.own_images import _notes as folder_notes_of_this_process
from ablations.own_images import folder_notes, two_meanings
from core.config import RunConfig
from core.data.cache import cache_dir
from core.data.folder import find
from core.errors import UserError
from tests.ablations.conftest import TINY, TWO_ARMS, CommandLine
from tests.conftest import make_images

IDS = [f"ids/p{number}" for number in range(8)]


def laid_out(root: Path, *folders: str, count: int = 2) -> None:
    """So many images in each folder, no two alike."""
    for number, folder in enumerate(folders):
        make_images(root / folder, count, seed=100 + number)


def why(root: Path, *sources: str) -> str:
    given = [str(root / source) for source in sources]
    return two_meanings(find(given, cache_dir(None), option="--eval").images, given)


@pytest.mark.parametrize(
    ("folders", "sources"),
    [
        (IDS, ["ids"]),
        (IDS, ["ids/../ids"]),
        ([f"set/{one}" for one in IDS], ["set"]),  # as `data fetch` leaves a set: identities in a folder of their own
        ([f"{one}/photos" for one in IDS], ["ids"]),
        ([*IDS, "more/q0", "more/q1"], ["ids", "more"]),
        (["flat"], ["flat"]),
        (["flat", "other"], ["flat", "other"]),
    ],
)
def test_layouts_that_mean_one_thing(tmp_path: Path, folders: list[str], sources: list[str]) -> None:
    laid_out(tmp_path, *folders)
    assert why(tmp_path, *sources) == ""


@pytest.mark.parametrize(
    ("folders", "sources", "told"),
    [
        ([*IDS, "ids"], ["ids"], r"ids/image 000.png' lies at the top, .* '.*ids/p0' has several images"),
        (IDS, ["ids", "ids/p0"], r"ids/p0' lies in '.*ids', which is given as well"),
        ([f"ids/p{n}/{kind}" for n in range(4) for kind in ("phone", "scanner")], ["ids"], r"identity 'p0' .*phone"),
        ([*IDS, "more/p3", "more/q"], ["ids", "more"], r"identity 'p3' has captures in '.*ids/p3' and in '.*more/p3'"),
    ],
)
def test_layouts_that_mean_two_things(tmp_path: Path, folders: list[str], sources: list[str], told: str) -> None:
    laid_out(tmp_path, *folders)
    text = why(tmp_path, *sources)
    assert re.search(told, text), text


def test_flat_documents_in_folders_of_one_each_mean_one_thing(tmp_path: Path) -> None:
    laid_out(tmp_path, "flat")
    laid_out(tmp_path, *(f"flat/{number}" for number in range(5)), count=1)
    assert why(tmp_path, "flat") == ""


def test_procedural_documents_need_no_note() -> None:
    assert folder_notes(RunConfig()) == []


def test_a_stray_image_is_refused_by_plan_and_by_check(cli: CommandLine, tmp_path: Path) -> None:
    laid_out(tmp_path, *IDS)
    assert cli("plan", "norm", *TINY, "--eval", "ids") == 0
    assert cli("data", "check", "ids", "--json") == 0
    assert json.loads(cli.out)["evaluation"]["usable"]
    shutil.copytree(tmp_path / "ids", tmp_path / "more")
    make_images(tmp_path / "more", 1, seed=7)
    assert "lies at the top" in cli.refuses("plan", "norm", *TINY, "--eval", "more")
    cli("data", "check", "more", "--json")
    facts = json.loads(cli.out)
    assert not facts["evaluation"]["usable"]
    assert "lies at the top" in facts["evaluation"]["note"]
    assert facts["identities"] == 0
    assert not any(facts["rates"].values())


def test_what_is_skipped_is_told_in_the_plan_and_in_the_report(cli: CommandLine, tmp_path: Path) -> None:
    laid_out(tmp_path, *IDS)
    make_images(tmp_path / "train", 20)
    (tmp_path / "ids/p0/notes.txt").write_text("x")
    (tmp_path / "train/notes.txt").write_text("x")
    words = ["resolution", *TINY, "--set", "data.images=20", "--data", "train", "--eval", "ids"]
    assert cli("plan", *words) == 0
    assert "note: --eval: 1 skipped (1 not an image)" in cli.out
    assert "trained on 20 of 20 images of train; 1 skipped (1 not an image)" in cli.out
    Path("runs").mkdir()
    assert cli("report", *words, "--out", "report", "--no-html") == 0
    page = Path("report/index.md").read_text()
    assert "- Note: --eval: 1 skipped (1 not an image)" in page
    assert "another capture of the same document" in page


@pytest.mark.parametrize("option", ["--data", "--eval"])
def test_too_few_images_for_any_verdict_are_told_before_runs_are_counted(
    cli: CommandLine, tmp_path: Path, option: str
) -> None:
    make_images(tmp_path / "own", 40)
    fewest = 312 if option == "--data" else 86
    told = f"note: {option}: no verdict can be reached: it takes {fewest} images, there are 40"
    assert cli("plan", "norm", option, "own", "--seeds", "1", "--set", "data.images=16") == 0
    assert told in cli.out
    assert cli.out.index(told) < cli.out.index(" runs: ")


def test_folders_of_captures_to_train_on_are_told_of(tmp_path: Path) -> None:
    laid_out(tmp_path, *IDS)
    config = RunConfig().with_overrides({"data.source": (str(tmp_path / "ids"),)})
    (note,) = folder_notes(config)
    assert "8 sub-folders have several" in note


def test_images_that_look_alike_are_told_by_plan_and_by_check(cli: CommandLine, tmp_path: Path) -> None:
    paths = make_images(tmp_path / "scans", 20)
    laid_out(tmp_path, *(f"people/{number}" for number in range(8)))
    for to in ("scans/again.jpg", "people/0/again.jpg"):  # the second is a capture of another identity than `people/1`
        with Image.open(paths[3] if to.startswith("scans") else next((tmp_path / "people/1").iterdir())) as image:
            image.save(tmp_path / to, quality=90)
    assert cli("plan", "resolution", *TINY, "--set", "data.images=20", "--data", "scans", "--eval", "people") == 0
    told = {line.partition(": ")[2][:6]: line for line in cli.out.splitlines() if "look alike" in line}
    assert set(told) == {"--data", "--eval"}
    assert str(Path("scans/again.jpg")) in told["--data"]
    assert str(Path("people/0/again.jpg")) in told["--eval"]
    assert cli("data", "check", "scans") == 0
    assert re.search(r"look alike +1 pair that may be one document saved twice", cli.out)
    assert cli("data", "check", "scans", "--json") == 0
    ((one, other),) = json.loads(cli.out)["alike"]
    assert {Path(one).name, Path(other).name} == {"again.jpg", paths[3].name}


def test_look_alikes_of_a_sub_folder_are_documents_apart_to_train_on(cli: CommandLine, tmp_path: Path) -> None:
    """Scans sorted by year are no captures of one document."""
    (path, *_) = make_images(tmp_path / "scans" / "2023", 40)
    with Image.open(path) as image:
        image.save(path.with_name("again.jpg"), quality=90)
    assert cli("plan", "resolution", *TINY, "--set", "data.images=20", "--data", "scans") == 0
    (told,) = [line for line in cli.out.splitlines() if "look alike" in line]
    assert "--data: two images look alike:" in told
    assert cli("data", "check", "scans") == 0
    text = " ".join(cli.out.split())
    assert "look alike 1 pair in one sub-folder: different documents to --data, captures of one identity" in text
    assert cli("data", "check", "scans", "--json") == 0
    facts = json.loads(cli.out)
    assert facts["alike"] == []
    assert {Path(one).name for one in facts["alike_inside"][0]} == {"again.jpg", path.name}


def test_a_picture_in_the_folders_of_two_identities_is_told_of(cli: CommandLine, tmp_path: Path) -> None:
    laid_out(tmp_path, *IDS)
    first = min((tmp_path / "ids/p3").iterdir())
    shutil.copy(first, first.with_name("again.png"))  # of the same identity: nothing to tell
    words = ("plan", "norm", *TINY, "--eval", "ids")
    assert cli(*words) == 0
    assert "two identities" not in cli.out
    shutil.copy(first, tmp_path / "ids/p7/copy.png")
    folder_notes_of_this_process.cache_clear()
    assert cli(*words) == 0
    (note,) = [line for line in cli.out.splitlines() if "two identities" in line]
    assert f"'{Path('ids/p7/copy.png')}', which is left out" in note


def test_images_to_judge_on_that_look_like_one_to_train_on_are_told(cli: CommandLine, tmp_path: Path) -> None:
    paths = make_images(tmp_path / "scans", 20)
    judged = make_images(tmp_path / "judged", 12, seed=40)
    planned = ("plan", "resolution", *TINY, "--set", "data.images=20", "--data", "scans", "--eval", "judged")
    assert cli(*planned) == 0
    assert "looks like" not in cli.out
    assert cli("data", "check", "judged", "--against", "scans") == 0
    assert re.search(r"in both +no image\s", cli.out)
    assert re.search(r"look alike +none, one here and one there", cli.out)
    shutil.copy(paths[5], tmp_path / "judged" / "copy.png")
    for number in (3, 4):
        with Image.open(paths[number]) as image:
            image.save(judged[0].with_name(f"{number} again.jpg"), quality=90)
        folder_notes_of_this_process.cache_clear()
        assert cli(*planned) == 0
        (note,) = [line for line in cli.out.splitlines() if "of --data" in line and "look" in line]
        for path in (Path("judged/3 again.jpg"), Path("scans") / paths[3].name):
            assert f"'{path}'" in note
        assert ("2 images look like" in note) == (number == 4)
        assert "`data check EVAL --against DATA` lists them" in note
    assert cli("data", "check", "judged", "--against", "scans") == 0
    assert re.search(r"in both +1 image, pixel for pixel: not trained on where judged on", cli.out)
    assert re.search(r"look alike +2 images look like one there", cli.out)
    assert cli("data", "check", "judged", "--against", "scans", "--json") == 0
    against = json.loads(cli.out)["against"]
    assert against["same"] == 1
    assert [Path(one).name for one, _ in against["alike"]] == ["3 again.jpg", "4 again.jpg"]
    assert [Path(other).name for _, other in against["alike"]] == [paths[3].name, paths[4].name]
    assert cli("data", "check", "judged", "--against", "nowhere") == 2
    assert "--against: 'nowhere' is not a folder" in cli.err


def test_more_pixels_than_are_read_are_told_of(tmp_path: Path) -> None:
    make_images(tmp_path / "train", 20)
    config = RunConfig().with_overrides({"data.source": (str(tmp_path / "train"),)})
    assert folder_notes(config.with_overrides({"data.image_size": 256})) == []
    (note,) = folder_notes(config.with_overrides({"data.image_size": 384}))
    assert note == "images are read at 256 pixels a side at most: data.image_size=384 shows no more"
    assert folder_notes(RunConfig().with_overrides({"data.image_size": 384})) == []


def test_folders_that_are_read_for_the_first_time_say_how_far_it_is(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images(tmp_path / "train", 40)
    monkeypatch.setattr("ablations.terminal._LINE_EVERY", 0.0)
    for told in (True, False):
        assert cli("plan", "resolution", *TINY, "--set", "data.images=20", "--data", "train") == 0
        assert ("checking images: 40/40" in cli.err) == told
        folder_notes_of_this_process.cache_clear()


def test_a_layout_that_means_two_things_is_refused(tmp_path: Path) -> None:
    laid_out(tmp_path, *IDS, "ids")
    with pytest.raises(UserError, match=r"--eval: '.*' lies at the top"):
        folder_notes(RunConfig().with_overrides({"eval.source": (str(tmp_path / "ids"),)}))


@pytest.mark.parametrize("option", ["--data", "--eval"])
def test_an_empty_name_is_told_of_the_option(cli: CommandLine, option: str) -> None:
    """What a script gives that names a variable which is not set."""
    assert cli.refuses("plan", "neck", *TINY, option, "") == f"error: {option}: '' is not a folder"


@pytest.mark.parametrize("field", ["data.source", "eval.source"])
def test_a_folder_of_an_arm_is_told_of_the_arm(cli: CommandLine, field: str) -> None:
    Path("mine.yaml").write_text(TWO_ARMS + f"  elsewhere: {{{field}: [nowhere]}}\n")
    told = f"error: study mine, arm elsewhere: {field}: 'nowhere' is not a folder"
    assert cli.refuses("plan", "mine.yaml", *TINY) == told
